"""Prepares graphs: attributes are parsed, functions bound, initializers raised, lifetimes found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import onnx
from onnx import AttributeProto, FunctionProto, GraphProto, NodeProto

from parity.diagnosis.onnx64.constants import dense, to_array
from parity.diagnosis.onnx64.program import Node, Program, Setting, own_name
from parity.diagnosis.onnx64.values import Value, hold


class Builder:
    """Prepares the graphs of one model.

    Args:
        functions: the model-local functions.
        setting: given to every node.
    """

    def __init__(self, functions: Iterable[FunctionProto], setting: Setting) -> None:
        self._functions = {(own_name(f.domain), f.name, f.overload): f for f in functions}
        self._setting = setting

    def graph(
        self,
        graph: GraphProto,
        opsets: Mapping[str, int],
        scope: tuple[str, ...] = (),
        bound: Mapping[str, AttributeProto] | None = None,
    ) -> Program:
        """Prepares a graph; `bound` holds the attributes of the function call that it lies in."""
        return self.body(graph, self.constants(graph), opsets, scope, bound)

    def constants(self, graph: GraphProto) -> dict[str, Value]:
        """The initializers of a graph, raised to float64."""
        folder, device = self._setting.folder, self._setting.device
        held = {tensor.name: hold(to_array(tensor, folder), device) for tensor in graph.initializer}
        for sparse in graph.sparse_initializer:
            held[sparse.values.name] = hold(dense(sparse, folder), device)
        return held

    def body(
        self,
        graph: GraphProto,
        constants: Mapping[str, Value],
        opsets: Mapping[str, int],
        scope: tuple[str, ...] = (),
        bound: Mapping[str, AttributeProto] | None = None,
    ) -> Program:
        """Prepares a graph whose initializers are already there."""
        outputs = tuple(output.name for output in graph.output)
        nodes = self._nodes(graph.node, opsets, scope, bound)
        local = {value.name for value in graph.input} | set(constants)
        return Program(
            inputs=tuple(value.name for value in graph.input),
            outputs=outputs,
            constants=constants,
            nodes=_with_lifetimes(nodes, outputs),
            captured=_captured(nodes, outputs, local),
            declared=tuple(output.type if output.HasField("type") else None for output in graph.output),
        )

    def function(self, function: FunctionProto, call: NodeProto, scope: tuple[str, ...]) -> Program:
        """Prepares the body of a function as `call` calls it, its attributes filled in."""
        bound = {attribute.name: attribute for attribute in function.attribute_proto}
        bound |= {attribute.name: attribute for attribute in call.attribute}
        opsets = {own_name(entry.domain): entry.version for entry in function.opset_import}
        # Types are known by name, and the names in a function are its own.
        inside = Builder(self._functions.values(), replace(self._setting, types={}))
        nodes = inside._nodes(function.node, opsets, (*scope, call.name or function.name), bound)
        return Program(
            inputs=tuple(function.input),
            outputs=tuple(function.output),
            constants={},
            nodes=_with_lifetimes(nodes, function.output),
            captured=frozenset(),
            declared=(None,) * len(function.output),
        )

    def _nodes(
        self,
        protos: Iterable[NodeProto],
        opsets: Mapping[str, int],
        scope: tuple[str, ...],
        bound: Mapping[str, AttributeProto] | None,
    ) -> list[Node]:
        return [self._node(_filled_in(proto, bound), opsets, scope, bound) for proto in protos]

    def _node(
        self,
        proto: NodeProto,
        opsets: Mapping[str, int],
        scope: tuple[str, ...],
        bound: Mapping[str, AttributeProto] | None,
    ) -> Node:
        domain = own_name(proto.domain)
        inside = (*scope, proto.name or proto.op_type)
        function = self._functions.get((domain, proto.op_type, proto.overload))
        graphs = {a.name: a.g for a in proto.attribute if a.type == AttributeProto.GRAPH}
        return Node(
            proto=proto,
            op=f"{domain}:{proto.op_type}" if domain else proto.op_type,
            version=opsets.get(domain, 1),
            inputs=tuple(proto.input),
            outputs=tuple(proto.output),
            attributes={a.name: self._attribute(a) for a in proto.attribute if a.name not in graphs},
            bodies={name: self.graph(body, opsets, inside, bound) for name, body in graphs.items()},
            function=self.function(function, proto, scope) if function else None,
            setting=self._setting,
            scope=scope,
        )

    def _attribute(self, attribute: AttributeProto) -> Any:
        folder, device = self._setting.folder, self._setting.device
        match attribute.type:
            case AttributeProto.TENSOR:
                return hold(to_array(attribute.t, folder), device)
            case AttributeProto.TENSORS:
                return [hold(to_array(tensor, folder), device) for tensor in attribute.tensors]
            case AttributeProto.SPARSE_TENSOR:
                return hold(dense(attribute.sparse_tensor, folder), device)
            case AttributeProto.STRING:
                return attribute.s.decode("utf-8", "surrogateescape")
            case AttributeProto.STRINGS:
                return [text.decode("utf-8", "surrogateescape") for text in attribute.strings]
            case _:
                return onnx.helper.get_attribute_value(attribute)


def _filled_in(proto: NodeProto, bound: Mapping[str, AttributeProto] | None) -> NodeProto:
    """The node with every reference to an attribute of the function replaced by its value, if it has one."""
    if bound is None or not any(attribute.ref_attr_name for attribute in proto.attribute):
        return proto
    filled = NodeProto()
    filled.CopyFrom(proto)
    del filled.attribute[:]
    for attribute in proto.attribute:
        if not attribute.ref_attr_name:
            filled.attribute.append(attribute)
        elif attribute.ref_attr_name in bound:
            value = filled.attribute.add()
            value.CopyFrom(bound[attribute.ref_attr_name])
            value.name = attribute.name
    return filled


def _captured(nodes: Sequence[Node], outputs: Iterable[str], local: set[str]) -> frozenset[str]:
    captured: set[str] = set()
    known = set(local)
    for node in nodes:
        captured |= node.reads - known
        known.update(node.outputs)
    return frozenset(captured | (set(outputs) - known))


def _with_lifetimes(nodes: Sequence[Node], outputs: Iterable[str]) -> tuple[Node, ...]:
    last: dict[str, int] = {}
    for index, node in enumerate(nodes):
        for name in node.reads | {name for name in node.outputs if name}:
            last[name] = index
    kept = set(outputs)
    dying: list[list[str]] = [[] for _ in nodes]
    for name, index in last.items():
        if name not in kept:
            dying[index].append(name)
    return tuple(replace(node, dying=tuple(names)) for node, names in zip(nodes, dying, strict=True))
