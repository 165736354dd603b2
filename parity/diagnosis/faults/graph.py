"""An ONNX model's main graph, looked up by tensor and edited in place.

Control flow is seen from outside: nodes in the bodies of If, Loop and Scan are neither sites nor edited.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import AttributeProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from .constants import Array, fold, own_value

FLOATS = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16)


class Graph:
    """Lookups are of the model as it is handed in; edits keep them right for what a single fault needs."""

    def __init__(self, model: ModelProto) -> None:
        self.model = model
        self.nodes = model.graph.node
        self.initializers = {tensor.name: tensor for tensor in model.graph.initializer}
        self.producers = {name: node for node in self.nodes for name in node.output if name}
        self.consumers: dict[str, list[NodeProto]] = defaultdict(list)
        for node in self.nodes:
            for name in _inputs(node):
                self.consumers[name].append(node)
        self.outputs = [each.name for each in model.graph.output]
        self._constants: dict[str, Array | None] = {}
        self._infer()

    def _infer(self) -> None:
        """Static shapes and element types of all tensors, as far as ONNX can tell them."""
        inferred = onnx.shape_inference.infer_shapes(self.model, data_prop=True).graph
        self._types: dict[str, int] = {}
        self._shapes: dict[str, tuple[int, ...]] = {}
        for info in (*inferred.input, *inferred.value_info, *inferred.output):
            tensor = info.type.tensor_type
            self._types[info.name] = tensor.elem_type
            dims = tensor.shape.dim
            if tensor.HasField("shape") and all(dim.HasField("dim_value") for dim in dims):
                self._shapes[info.name] = tuple(dim.dim_value for dim in dims)
        for tensor in self.initializers.values():
            self._types[tensor.name] = tensor.data_type
            self._shapes[tensor.name] = tuple(tensor.dims)

    # --- lookups

    @property
    def opset(self) -> int:
        """The version of the standard operators."""
        standard = (each.version for each in self.model.opset_import if each.domain in ("", "ai.onnx"))
        return int(next(standard))

    def shape(self, name: str) -> tuple[int, ...] | None:
        """The static shape, None where it is not known in full."""
        return self._shapes.get(name)

    def is_float(self, name: str) -> bool:
        return self._types.get(name) in FLOATS

    def element_type(self, name: str) -> int | None:
        return self._types.get(name)

    def constant(self, name: str) -> Array | None:
        """The value of a tensor that no input changes, also where a few nodes compute it."""
        if not name:
            return None
        if name not in self._constants:
            self._constants[name] = None  # a cycle is no constant
            self._constants[name] = self._find_constant(name)
        return self._constants[name]

    def _find_constant(self, name: str) -> Array | None:
        if name in self.initializers:
            return numpy_helper.to_array(self.initializers[name])
        node = self.producers.get(name)
        if node is None:
            return None
        if node.op_type == "Constant":
            return own_value(node)
        if node.op_type == "Shape" and (shape := self.shape(node.input[0])) is not None:
            return np.array(shape[attribute(node, "start", 0) : attribute(node, "end", None)], np.int64)
        return fold(node, [self.constant(each) if each else None for each in node.input], self.opset)

    def operand(self, node: NodeProto, index: int) -> Array | None:
        """The constant value of a node's input, None when there is none or it is not constant."""
        return self.constant(node.input[index]) if index < len(node.input) else None

    def position(self, name: str) -> int:
        """The position of the node that gives a tensor; -1 for an input of the graph."""
        return next((i for i, node in enumerate(self.nodes) if name in node.output), -1)

    def computed(self) -> Iterator[tuple[int, NodeProto]]:
        """Every node, with its position, whose first output is floating and depends on the inputs."""
        for position, node in enumerate(self.nodes):
            if self.is_float(node.output[0]) and self.constant(node.output[0]) is None:
                yield position, node

    # --- edits

    def fresh(self, stem: str) -> str:
        """A name that neither a tensor nor a node has."""
        taken = {*self.producers, *self.initializers, *(node.name for node in self.nodes)}
        return next(name for i in range(1, len(taken) + 2) if (name := f"{stem}_{i}") not in taken)

    def add_initializer(self, stem: str, array: Array) -> str:
        """A new initializer; its name."""
        name = self.fresh(stem)
        tensor = self.model.graph.initializer.add()
        tensor.CopyFrom(numpy_helper.from_array(np.asarray(array), name))
        self.initializers[name] = tensor
        return name

    def set_operand(self, node: NodeProto, index: int, array: Array) -> str:
        """Gives one node another constant; other nodes that share it keep theirs. The tensor's name."""
        name = node.input[index]
        array = np.asarray(array)
        if len(self.consumers[name]) == 1 and name not in self.outputs:
            producer = self.producers.get(name)
            if name in self.initializers:
                self.initializers[name].CopyFrom(numpy_helper.from_array(array, name))
                return str(name)
            if producer is not None and producer.op_type == "Constant":
                del producer.attribute[:]
                set_attribute(producer, "value", numpy_helper.from_array(array, name))
                return str(name)
        altered = self.add_initializer(name, array)
        node.input[index] = altered
        return altered

    def insert(self, position: int, nodes: Iterable[NodeProto]) -> None:
        """Puts nodes before the one at `position`."""
        rest = list(self.nodes[position:])
        del self.nodes[position:]
        self.nodes.extend(nodes)
        self.nodes.extend(rest)

    def redirect(self, name: str, to: str) -> None:
        """Every node that takes one tensor takes another; the graph's outputs stay."""
        for node in self.consumers[name]:
            for index, each in enumerate(node.input):
                if each == name:
                    node.input[index] = to

    def rename(self, names: dict[str, str]) -> None:
        """Other names for tensors, wherever nodes use them; the graph's outputs stay."""
        for node in self.nodes:
            for field in (node.input, node.output):
                for index, name in enumerate(field):
                    field[index] = names.get(name, name)

    def bypass(self, node: NodeProto, index: int) -> list[NodeProto]:
        """Takes a node out: what it gave is now its input `index`.

        Returns:
            The nodes that compute on the wrong tensor from now on, in order; for an output of the graph, the
            node that gives it now.
        """
        kept, gone = node.input[index], node.output[0]
        followers = list(self.consumers[gone])
        if gone in self.outputs:
            self.nodes.remove(node)
            self.rename({kept: gone})
            return [*followers, self.producers[kept]]
        self.redirect(gone, kept)
        self.nodes.remove(node)
        return followers

    def can_bypass(self, node: NodeProto, index: int) -> bool:
        """Whether the input is a computed tensor that may take the place of the output, of the same type.

        That their shapes are the same is the caller's to know.
        """
        kept, gone = node.input[index], node.output[0]
        return (
            kept in self.producers
            and self.constant(kept) is None
            and self.element_type(kept) == self.element_type(gone)
            and not (gone in self.outputs and kept in self.outputs)
        )

    def same_shape(self, one: str, other: str) -> bool:
        """Whether two tensors are known to have one shape."""
        return self.shape(one) is not None and self.shape(one) == self.shape(other)

    def tidy(self) -> None:
        """Removes nodes and tensors that nothing uses any more."""
        used = set(self.outputs)
        for position in reversed(range(len(self.nodes))):  # consumers stand behind their producers
            node = self.nodes[position]
            if used.isdisjoint(node.output):
                del self.nodes[position]
            else:
                used.update(_inputs(node))
        used.update(each.name for each in self.model.graph.input)
        for tensors in (self.model.graph.initializer, self.model.graph.value_info):
            for position in reversed(range(len(tensors))):
                if tensors[position].name not in used:
                    del tensors[position]


def label(node: NodeProto) -> str:
    """What a report calls a node: its name, or its first output if it has none."""
    return node.name or next(name for name in node.output if name)


def attribute(node: NodeProto, name: str, default: Any) -> Any:
    """An attribute's value; strings are text, lists are lists."""
    for each in node.attribute:
        if each.name == name:
            value = helper.get_attribute_value(each)
            return value.decode() if isinstance(value, bytes) else value
    return default


def set_attribute(node: NodeProto, name: str, value: Any) -> None:
    """Gives a node an attribute; None takes it away."""
    for each in [each for each in node.attribute if each.name == name]:
        node.attribute.remove(each)
    if value is not None:
        node.attribute.append(helper.make_attribute(name, value))


def like(array: Array, values: npt.ArrayLike) -> Array:
    """New values in the dtype of an array."""
    return np.asarray(values).astype(array.dtype)


def _inputs(node: NodeProto) -> list[str]:
    """Every tensor that a node takes, once for each time; also what the bodies of control flow take."""
    return [*(name for name in node.input if name), *_captured(node)]


def _captured(node: NodeProto) -> Iterator[str]:
    for each in node.attribute:
        bodies = [each.g] if each.type == AttributeProto.GRAPH else each.graphs
        for body in bodies:
            for inner in body.node:
                yield from _inputs(inner)
