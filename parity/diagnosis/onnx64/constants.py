"""Reads a model and its constants, and tells which float type is its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import GraphProto, ModelProto, SparseTensorProto, TensorProto, numpy_helper

from parity.artifacts import Array
from parity.diagnosis.onnx64.ordering import order
from parity.diagnosis.onnx64.values import RAISED
from parity.worker.problems import Unable

# Larger constants are no shapes or axes: shape inference needs only their type.
_SHAPE_LIKE = 1024
# Narrow to wide: among equally frequent types the widest counts.
_WIDTHS = (TensorProto.BFLOAT16, TensorProto.FLOAT16, TensorProto.FLOAT, TensorProto.DOUBLE)


def load(source: str | Path | ModelProto) -> tuple[ModelProto, str]:
    """The model without its external data and with its nodes in order, and the folder where the data lies.

    Raises:
        Unable: ``onnx``; the file can't be read.
    """
    if isinstance(source, ModelProto):
        return source, ""
    try:
        model = onnx.load(str(source), format="protobuf", load_external_data=False)
    except (OSError, DecodeError) as error:
        raise Unable("onnx", f"{source} can't be read: {error}", fix="export the model again") from error
    return order(model), str(Path(source).parent)


def to_array(tensor: TensorProto, folder: str) -> Array:
    """The values of a constant, from the file or from its external data in `folder`."""
    array: Array = numpy_helper.to_array(tensor, folder)
    return array


def dense(sparse: SparseTensorProto, folder: str) -> Array:
    """A sparse constant with its zeros. Its indices are linear, or one row of coordinates for each value."""
    values, indices = to_array(sparse.values, folder), to_array(sparse.indices, folder)
    array = np.zeros(tuple(sparse.dims), values.dtype)
    if indices.ndim == 1:
        array.reshape(-1)[indices] = values
    else:
        array[tuple(indices.T)] = values
    return array


def element_types(model: ModelProto) -> dict[str, int]:
    """ONNX element types of named tensors in the graph and its subgraphs, as far as they can be inferred.

    A name that is used for two types in different subgraphs is left out.
    """
    try:
        inferred = onnx.shape_inference.infer_shapes(model).graph
    except (onnx.shape_inference.InferenceError, onnx.checker.ValidationError, ValueError, RuntimeError):
        inferred = model.graph  # what is declared there is better than nothing
    types: dict[str, set[int]] = {}
    for graph in graphs(inferred):
        for value in (*graph.input, *graph.output, *graph.value_info):
            if value.type.HasField("tensor_type"):
                types.setdefault(value.name, set()).add(value.type.tensor_type.elem_type)
        for tensor in graph.initializer:
            types.setdefault(tensor.name, set()).add(tensor.data_type)
    return {name: found.pop() for name, found in types.items() if len(found) == 1}


def native_float(model: ModelProto, types: dict[str, int]) -> int:
    """The float type that the model computes in: the one of most of its nodes' results.

    Without any, that of most numbers among its weights; then of its inputs and outputs; then float32. A
    float16 model that keeps float32 inputs and outputs is thereby float16.
    """
    computed: Counter[int] = Counter()
    stored: Counter[int] = Counter()
    for graph in graphs(model.graph):
        for node in graph.node:
            if node.op_type not in ("Cast", "CastLike", "Constant", "Identity"):
                computed.update(types[name] for name in node.output if types.get(name) in RAISED)
        for tensor in graph.initializer:
            if tensor.data_type in RAISED:
                stored[tensor.data_type] += int(np.prod(tensor.dims))
    ends = Counter(
        value.type.tensor_type.elem_type
        for value in (*model.graph.input, *model.graph.output)
        if value.type.tensor_type.elem_type in RAISED
    )
    for counter in (computed, stored, ends):
        if counter:
            return max(counter, key=lambda kind: (counter[kind], _WIDTHS.index(kind)))
    return TensorProto.FLOAT


def graphs(graph: GraphProto) -> Iterator[GraphProto]:
    """The graph, and every subgraph in it."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from graphs(attribute.g)
            for inner in attribute.graphs:
                yield from graphs(inner)


def without_weights(model: ModelProto) -> ModelProto:
    """A copy in which the graph's large initializers have a type and a shape, but no values.

    Nodes keep the whole message that they belong to in memory: those of the copy are the ones to keep.
    """
    light = ModelProto(ir_version=model.ir_version)
    light.opset_import.extend(model.opset_import)
    light.functions.extend(model.functions)
    for field in ("node", "input", "output", "value_info"):
        getattr(light.graph, field).extend(getattr(model.graph, field))
    for tensor in model.graph.initializer:
        if int(np.prod(tensor.dims)) > _SHAPE_LIKE or tensor.external_data:
            light.graph.initializer.add(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
        else:
            light.graph.initializer.append(tensor)
    return light
