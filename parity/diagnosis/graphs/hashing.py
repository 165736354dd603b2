"""Hashes of tensors that know no names: equal when the same computation gives them.

Every tensor has two, both of the operators above it up to the graph's inputs. The *exact* one takes in
attributes and the values of constants; the *skeleton* takes of constants only the dtype and shape.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import AttributeProto, GraphProto, NodeProto, helper, numpy_helper

from parity.artifacts import Array
from parity.diagnosis.faults.constants import own_value
from parity.diagnosis.graphs.constants import ValueClasses
from parity.diagnosis.graphs.view import View
from parity.diagnosis.onnx64.program import own_name

COMMUTATIVE = frozenset(
    {
        "Add",
        "Mul",
        "And",
        "Or",
        "Xor",
        "Equal",
        "Max",
        "Min",
        "Sum",
        "Mean",
        "BitwiseAnd",
        "BitwiseOr",
        "BitwiseXor",
    }
)


class Hash(NamedTuple):
    exact: int
    skeleton: int


_ABSENT = Hash(-1, -1)


class Hashes:
    """The tensors of one graph, by name, and how many distinct ones have each exact hash."""

    def __init__(self, of: dict[str, Hash], view: View) -> None:
        self.of = of
        self.known = frozenset(each.exact for each in of.values())  # constants too
        self.counts: Counter[int] = Counter()
        self.names: dict[int, str] = {}
        computed = [view.resolve(name) for node in view.nodes for name in node.output if name]
        for name in dict.fromkeys((*view.inputs, *computed)):
            if name in of:
                self.counts[of[name].exact] += 1
                self.names.setdefault(of[name].exact, name)


class Hasher:
    """Hashes graphs that are to be compared: numbers mean the same for all that one hasher has seen."""

    def __init__(self) -> None:
        self.values = ValueClasses()
        self._numbers: dict[Hashable, int] = {}

    def hash(self, view: View, inputs: Mapping[str, str]) -> Hashes:
        """The tensors of a graph; `inputs` gives the names that the graph's inputs go by."""
        return Hashes(_Scope(self, view).run(inputs), view)

    def number(self, what: Hashable) -> int:
        return self._numbers.setdefault(what, len(self._numbers))

    def attributes(
        self, view: View, node: NodeProto, around: Mapping[str, Hash]
    ) -> tuple[tuple[str, int], ...]:
        """The attributes of a node, filled in, with `around` for what its subgraphs take."""
        return _Scope(self, view).attributes(node, around)

    def function(self, view: View, node: NodeProto) -> int:
        """The body of the model-local function that a node calls; -1 for any other operator."""
        return _Scope(self, view).function((own_name(node.domain), node.op_type))

    def constant(self, value: Array) -> Hash:
        return Hash(
            self.number(("value", self.values.number(value))),
            self.number(("value", str(value.dtype), value.shape)),
        )


class _Scope:
    def __init__(self, hasher: Hasher, view: View) -> None:
        self._hasher, self._view = hasher, view
        self._functions: dict[tuple[str, str], int] = {}

    def run(self, inputs: Mapping[str, str]) -> dict[str, Hash]:
        view, of = self._view, {}
        for name in view.inputs:
            of[name] = Hash(*(self._hasher.number(("input", inputs[name])),) * 2)
        for name in (*view.initializers, *view.sparse):
            value = view.constant(name)
            if value is not None:
                of[name] = self._hasher.constant(value)
        for node in view.nodes:
            value = view.constant(node.output[0]) if node.output[0] else None
            if value is not None:
                of[node.output[0]] = self._hasher.constant(value)
            elif view.resolve(node.output[0]) != node.output[0]:
                of[node.output[0]] = of[view.resolve(node.output[0])]
            else:
                self._node(node, of)
        return of

    def _node(self, node: NodeProto, of: dict[str, Hash]) -> None:
        given = [of.get(name, _ABSENT) if name else _ABSENT for name in node.input]
        while given and given[-1] == _ABSENT:
            given.pop()
        if own_name(node.domain) == "" and node.op_type in COMMUTATIVE:
            given.sort()
        operator = (own_name(node.domain), node.op_type)
        exact = self._hasher.number(
            (
                operator,
                self.function(operator),
                self.attributes(node, of),
                tuple(each.exact for each in given),
            )
        )
        skeleton = self._hasher.number((operator, tuple(each.skeleton for each in given)))
        for index, name in enumerate(node.output):
            if name:
                of[name] = Hash(*(self._hasher.number((each, index)) for each in (exact, skeleton)))

    def attributes(self, node: NodeProto, of: Mapping[str, Hash]) -> tuple[tuple[str, int], ...]:
        """All attributes with their defaults, in a form that knows no names."""
        filled = with_defaults(node, self._view.opsets)
        return tuple(sorted((name, self._attribute(each, of)) for name, each in filled.items()))

    def _attribute(self, each: AttributeProto, of: Mapping[str, Hash]) -> int:
        number = self._hasher.number
        if each.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS):
            graphs = [each.g] if each.type == AttributeProto.GRAPH else each.graphs
            return number(("bodies", tuple(self._body(graph, of) for graph in graphs)))
        if each.ref_attr_name:
            return number(("reference", each.ref_attr_name))
        value = plain(each)
        if isinstance(value, np.ndarray):
            return number(("array", self._hasher.values.number(value)))
        return number(("bytes", value))

    def _body(self, graph: GraphProto, outer: Mapping[str, Hash]) -> int:
        inputs = [each.name for each in graph.input]
        constants = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
        outputs = [each.name for each in graph.output]
        return self._inner(graph.node, inputs, outputs, dict(outer), constants)

    def function(self, operator: tuple[str, str]) -> int:
        """The body of a model-local function; -1 for any other operator."""
        function = self._view.functions.get(operator)
        if function is None:
            return -1
        if operator not in self._functions:
            self._functions[operator] = -2  # functions don't call themselves; a broken file may
            self._functions[operator] = self._inner(function.node, function.input, function.output, {}, {})
        return self._functions[operator]

    def _inner(
        self,
        nodes: Iterable[NodeProto],
        inputs: Iterable[str],
        outputs: Iterable[str],
        of: dict[str, Hash],
        constants: Mapping[str, Array],
    ) -> int:
        for place, name in enumerate(inputs):
            of[name] = Hash(*(self._hasher.number(("parameter", place)),) * 2)
        for name, value in constants.items():
            of[name] = self._hasher.constant(value)
        for node in nodes:
            own = own_value(node) if node.op_type == "Constant" and len(node.attribute) == 1 else None
            if own is not None:
                of[node.output[0]] = self._hasher.constant(own)
            else:
                self._node(node, of)
        return self._hasher.number(tuple(of.get(name, _ABSENT).exact for name in outputs))


def with_defaults(node: NodeProto, opsets: Mapping[str, int]) -> dict[str, AttributeProto]:
    """The attributes of a node and those that it leaves at their defaults."""
    domain = own_name(node.domain)
    filled = dict(_defaults(node.op_type, domain, opsets.get(domain, 1)))
    filled.update((each.name, each) for each in node.attribute)
    return filled


@cache
def _defaults(op_type: str, domain: str, version: int) -> dict[str, AttributeProto]:
    try:
        schema = onnx.defs.get_schema(op_type, version, domain)
    except onnx.defs.SchemaError:
        return {}
    return {
        name: each.default_value
        for name, each in schema.attributes.items()
        if each.default_value.type != AttributeProto.UNDEFINED
    }


def plain(each: AttributeProto) -> Any:
    """An attribute's value: an array where it is a number, numbers or a tensor, bytes where it is not."""
    kind = each.type
    if kind in (AttributeProto.FLOAT, AttributeProto.FLOATS):
        return np.asarray(helper.get_attribute_value(each), np.float32)
    if kind in (AttributeProto.INT, AttributeProto.INTS):
        return np.asarray(helper.get_attribute_value(each), np.int64)
    if kind == AttributeProto.TENSOR:
        return numpy_helper.to_array(each.t)
    if kind == AttributeProto.STRING:
        return bytes(each.s)
    return each.SerializeToString(deterministic=True)
