"""The floating constants of a file: initializers and Constant nodes, with who takes them."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, numpy_helper

from parity.artifacts import Array

FLOATS = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16)

# Inputs that hold what comes from a checkpoint.
_PARAMETRIC = {
    "Conv": (1, 2),
    "ConvTranspose": (1, 2),
    "Gemm": (1, 2),
    "MatMul": (1,),
    "LSTM": (1, 2, 3, 7),
    "GRU": (1, 2, 3),
    "RNN": (1, 2, 3),
    "PRelu": (1,),
    "BatchNormalization": (1, 2, 3, 4),
    "LayerNormalization": (1, 2),
    "InstanceNormalization": (1, 2),
    "GroupNormalization": (1, 2),
}


@dataclass(frozen=True)
class Use:
    """One node's input."""

    node: NodeProto
    slot: int

    @property
    def label(self) -> str:
        """What a report calls the node: its name, or its first output if it has none."""
        return str(self.node.name or next((name for name in self.node.output if name), ""))

    @property
    def parametric(self) -> bool:
        """Whether a parameter of the module usually is here."""
        return self.slot in _PARAMETRIC.get(self.node.op_type, ())

    @property
    def module(self) -> str:
        """The path of the PyTorch module that the exporter notes at the node, empty if it does not."""
        return module_of(self.node)


@dataclass(frozen=True)
class FileTensor:
    """A floating constant of a file; its value is read when it is asked for."""

    name: str
    proto: TensorProto
    folder: str
    uses: tuple[Use, ...] = field(default=())

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.proto.dims)

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def labels(self) -> tuple[str, ...]:
        """The nodes that take it."""
        return tuple(dict.fromkeys(use.label for use in self.uses))

    def read(self) -> Array:
        """The value in the dtype of the file."""
        return numpy_helper.to_array(self.proto, base_dir=self.folder)


def file_tensors(model: ModelProto, folder: str) -> Iterator[FileTensor]:
    """Every floating constant of the main graph and of the bodies of control flow, in the file's order."""
    uses: dict[str, list[Use]] = defaultdict(list)
    graphs = list(_graphs(model.graph))
    for graph in graphs:
        for node in graph.node:
            for slot, name in enumerate(node.input):
                uses[name].append(Use(node, slot))
    for graph in graphs:
        for name, proto in constants(graph):
            if proto.data_type in FLOATS:
                yield FileTensor(name, proto, folder, tuple(uses[name]))


def constants(graph: GraphProto) -> Iterator[tuple[str, TensorProto]]:
    """The initializers of one graph and the tensors of its Constant nodes, to be read or replaced."""
    for tensor in graph.initializer:
        yield tensor.name, tensor
    for node in graph.node:
        if node.op_type == "Constant":
            for attribute in node.attribute:
                if attribute.type == AttributeProto.TENSOR:
                    yield node.output[0], attribute.t


def replace(model: ModelProto, name: str, value: Array) -> ModelProto:
    """A copy of a model with another value in one constant; other tensors are as they were."""
    copy = ModelProto()
    copy.CopyFrom(model)
    for graph in _graphs(copy.graph):
        for each, tensor in constants(graph):
            if each == name:
                tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))
    return copy


def module_of(node: NodeProto) -> str:
    """The module path in a node's metadata (dynamo) or in its scoped name (TorchScript); empty if none.

    A scoped name repeats the container: ``/layer1/layer1.0/conv1/Conv`` is of ``layer1.0.conv1``.
    """
    for entry in node.metadata_props:
        if entry.key == "pkg.torch.onnx.name_scopes":
            try:
                scopes = ast.literal_eval(entry.value)
            except (ValueError, SyntaxError):
                return ""
            return str(scopes[-2]) if isinstance(scopes, list) and len(scopes) > 1 else ""
    path: list[str] = []
    for part in node.name.split("/")[1:-1] if node.name.startswith("/") else ():
        if path and part.startswith(f"{path[-1]}."):
            path.pop()
        path.append(part)
    return ".".join(path)


def _graphs(graph: GraphProto) -> Iterator[GraphProto]:
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for body in [attribute.g] if attribute.type == AttributeProto.GRAPH else attribute.graphs:
                yield from _graphs(body)
