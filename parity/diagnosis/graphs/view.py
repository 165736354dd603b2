"""A model's main graph, looked up by tensor: who gives it, who takes it, and its value if it is constant."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, FunctionProto, ModelProto, NodeProto, numpy_helper

from parity.artifacts import Array
from parity.diagnosis.faults.constants import fold, own_value
from parity.diagnosis.onnx64.constants import dense, without_weights
from parity.diagnosis.onnx64.program import own_name

# Folding is for shapes, masks and transposed weights. What a few numbers blow up to more is computed.
_FOLDED = 1 << 26
_LAYOUT = {"Expand", "Gather", "Identity", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze"}


class View:
    """One graph. Tensors go by their names; `resolve` skips nodes that hand their input on as it is."""

    def __init__(self, model: ModelProto) -> None:
        self.model = model
        graph = model.graph
        self.initializers = {tensor.name: tensor for tensor in graph.initializer}
        self.sparse = {tensor.values.name: tensor for tensor in graph.sparse_initializer}
        leaves = self.initializers.keys() | self.sparse.keys()
        self.inputs = [each.name for each in graph.input if each.name not in leaves]
        self.outputs = [each.name for each in graph.output]
        self.opsets = {own_name(each.domain): each.version for each in model.opset_import}
        self.functions: dict[tuple[str, str], FunctionProto] = {
            (own_name(each.domain), each.name): each for each in model.functions
        }
        self.producers = {name: node for node in graph.node for name in node.output if name}
        self.nodes = self._live()
        self.position = {key(node): place for place, node in enumerate(self.nodes)}
        self.consumers: dict[str, list[NodeProto]] = defaultdict(list)
        for node in self.nodes:
            for name in dict.fromkeys(taken(node)):
                self.consumers[name].append(node)
        self._constants: dict[str, Array | None] = {}
        for node in self.nodes:
            self._fold(node)
        self._resolved: dict[str, str] = {}

    def _live(self) -> list[NodeProto]:
        """The nodes that an output depends on, in order."""
        used, live = set(self.outputs), []
        for node in reversed(self.model.graph.node):
            if not used.isdisjoint(node.output):
                used.update(taken(node))
                live.append(node)
        return live[::-1]

    # --- constants

    def constant(self, name: str) -> Array | None:
        """The value of an initializer, of a Constant, and of what a few nodes make of them alone."""
        if name not in self._constants:
            found: Array | None = None
            if name in self.initializers:
                found = numpy_helper.to_array(self.initializers[name])
            elif name in self.sparse:
                found = dense(self.sparse[name], "")
            self._constants[name] = found
        return self._constants[name]

    def exact(self, name: str) -> bool:
        """Whether a constant's value has lost nothing to float32: it is stored, or only laid out anew."""
        node = self.producers.get(name)
        while node is not None and node.input and node.op_type in _LAYOUT:
            if any(self.producers.get(other) is not None for other in node.input[1:]):
                break
            node = self.producers.get(node.input[0])
        return node is None or not node.input

    def static(self, name: str) -> Array | None:
        """`constant`, and also what follows from the shapes that the graph declares."""
        pending: list[str] = [name]
        order: list[str] = []
        while pending:
            each = pending.pop()
            node = self.producers.get(each)
            if self.constant(each) is None and node is not None and len(order) < 50:
                order.append(each)
                if node.op_type != "Shape":
                    pending.extend(other for other in node.input if other)
        values: dict[str, Array | None] = {}
        for each in sorted(set(order), key=lambda each: self.position.get(key(self.producers[each]), -1)):
            node = self.producers[each]
            if node.op_type == "Shape":
                values[each] = self._shape_of(node)
                continue
            known = [values.get(other, self.constant(other)) if other else None for other in node.input]
            values[each] = self._try_fold(node, known)
        return values.get(name, self.constant(name))

    def _shape_of(self, node: NodeProto) -> Array | None:
        shape = self.shapes.get(node.input[0])
        if shape is None:
            return None
        return np.array(shape[attribute(node, "start", 0) : attribute(node, "end", None)], np.int64)

    def _fold(self, node: NodeProto) -> None:
        if node.op_type == "Constant" and own_name(node.domain) == "":
            self._constants[node.output[0]] = own_value(node)
        elif node.input and all(self.constant(name) is not None for name in node.input if name):
            value = self._try_fold(node, [self.constant(name) if name else None for name in node.input])
            if value is not None:
                self._constants[node.output[0]] = value

    def _try_fold(self, node: NodeProto, inputs: list[Array | None]) -> Array | None:
        if len(node.output) != 1:
            return None
        try:
            value = fold(node, inputs, self.opsets.get("", 1))
        except Exception:  # noqa: BLE001 - what can't be folded is compared node by node
            return None
        return value if value is not None and value.nbytes <= _FOLDED else None

    # --- types and ways

    @cached_property
    def _inferred(self) -> onnx.GraphProto:
        light = without_weights(self.model)
        try:
            return onnx.shape_inference.infer_shapes(light, data_prop=True).graph
        except (onnx.shape_inference.InferenceError, onnx.checker.ValidationError, ValueError, RuntimeError):
            return light.graph  # what is declared there is better than nothing

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Static shapes, where they are known in full."""
        graph = self._inferred
        found = {}
        for info in (*graph.input, *graph.value_info, *graph.output):
            tensor = info.type.tensor_type
            if tensor.HasField("shape") and all(dim.HasField("dim_value") for dim in tensor.shape.dim):
                found[info.name] = tuple(dim.dim_value for dim in tensor.shape.dim)
        return found

    @cached_property
    def types(self) -> dict[str, int]:
        """ONNX element types, as far as they are known."""
        graph = self._inferred
        infos = (*graph.input, *graph.value_info, *graph.output)
        found = {info.name: info.type.tensor_type.elem_type for info in infos}
        return found | {name: tensor.data_type for name, tensor in self.initializers.items()}

    def resolve(self, name: str) -> str:
        """The tensor that this one is, behind Identity nodes and casts to the type that it has already."""
        way = []
        while name not in self._resolved:
            way.append(name)
            node = self.producers.get(name)
            if node is None or not self._transparent(node):
                self._resolved[name] = name
                break
            name = node.input[0]
        found = self._resolved[name]
        self._resolved.update(dict.fromkeys(way, found))
        return found

    def _transparent(self, node: NodeProto) -> bool:
        if own_name(node.domain) != "":
            return False
        if node.op_type == "Dropout":  # without a training mode it hands its input on
            return len(node.input) < 3 and len([name for name in node.output if name]) == 1
        same_type = node.op_type == "Cast" and self.types.get(node.input[0], 0) == attribute(node, "to", -1)
        return node.op_type == "Identity" or same_type

    def taker(self, node: NodeProto, slot: int) -> NodeProto:
        """The node that takes what an input of a node resolves to: itself, or the first in between."""
        name, found = node.input[slot], self.resolve(node.input[slot])
        while name != found:
            node = self.producers[name]
            name = node.input[0]
        return node

    def parents(self, node: NodeProto) -> list[str]:
        """The tensors that a node takes, resolved; "" for one that is left out in between."""
        names = [self.resolve(name) if name else "" for name in node.input]
        while names and not names[-1]:
            names.pop()
        return names

    def reach(self, node: NodeProto) -> frozenset[str]:
        """The graph's outputs that depend on a node."""
        seen, pending = {key(node)}, [node]
        found = set()
        while pending:
            for name in pending.pop().output:
                if name in self.outputs:
                    found.add(name)
                for each in self.consumers.get(name, ()):
                    if key(each) not in seen:
                        seen.add(key(each))
                        pending.append(each)
        return frozenset(found)


def key(node: NodeProto) -> str:
    """What tells a node from all others of its graph: its first output."""
    return next((name for name in node.output if name), node.name)


def label(node: NodeProto) -> str:
    """What a report calls a node: its name, or its first output if it has none."""
    return node.name or key(node)


def attribute(node: NodeProto, name: str, default: Any) -> Any:
    """The value of an attribute as it is in the file."""
    for each in node.attribute:
        if each.name == name:
            return onnx.helper.get_attribute_value(each)
    return default


def taken(node: NodeProto) -> Iterator[str]:
    """Names of all tensors that a node takes, those that the bodies of control flow take included."""
    yield from (name for name in node.input if name)
    for body in bodies(node):
        for inner in body.node:
            yield from taken(inner)
        yield from (each.name for each in body.output)


def bodies(node: NodeProto) -> Iterator[onnx.GraphProto]:
    """The subgraphs of a control flow node."""
    for each in node.attribute:
        if each.type == AttributeProto.GRAPH:
            yield each.g
        yield from each.graphs
