"""Reads what an ONNX file declares, and says readably what is wrong with one that can't be used."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from parity.artifacts import numpy_dtype
from parity.records.tensors import Form, ValueInfo
from parity.worker.problems import Unable

if TYPE_CHECKING:
    import onnx

_LFS_POINTER = b"version https://git-lfs"
_LFS_FIX = "fetch the real file with `git lfs pull`, or `lfs: true` for actions/checkout"
# Element types of ONNX whose names are not those of NumPy and ml_dtypes in upper case.
_RENAMED = {
    "FLOAT": "float32",
    "DOUBLE": "float64",
    "FLOAT8E4M3FN": "float8_e4m3fn",
    "FLOAT8E4M3FNUZ": "float8_e4m3fnuz",
    "FLOAT8E5M2": "float8_e5m2",
    "FLOAT8E5M2FNUZ": "float8_e5m2fnuz",
    "FLOAT8E8M0": "float8_e8m0fnu",
    "FLOAT4E2M1": "float4_e2m1fn",
}


def read_signature(path: str) -> tuple[tuple[ValueInfo, ...], tuple[ValueInfo, ...]]:
    """The inputs (initializers left out) and outputs that an ONNX file declares, in its order.

    Weights in external files are not read; that they are there and long enough is checked.

    Raises:
        Unable: ``onnx``; the file or its external data is missing, damaged or of no use.
    """
    graph = _load(Path(path)).graph
    initialized = {tensor.name for tensor in graph.initializer}
    initialized |= {tensor.values.name for tensor in graph.sparse_initializer}
    inputs = tuple(
        _value_info(value, f"input of {path}") for value in graph.input if value.name not in initialized
    )
    outputs = tuple(_output_info(value, path) for value in graph.output)
    if not outputs:
        raise Unable(
            "onnx", f"{path} declares no output: there is nothing to compare", fix="export the model again"
        )
    return inputs, outputs


def external_bytes(path: str) -> int:
    """Bytes that the tensors of an ONNX file have in other files; it is one that `read_signature` took."""
    from onnx.external_data_helper import uses_external_data

    model = _load(Path(path))
    return sum(_byte_size(tensor) for tensor in _all_tensors(model) if uses_external_data(tensor))


def dtype_name(code: int) -> str:
    """The project's dtype name of an ONNX element type: 1 is ``float32``, 16 ``bfloat16``."""
    import onnx

    name: str = onnx.TensorProto.DataType.Name(code)
    return _RENAMED.get(name, name.lower())


def element_type(dtype: str) -> int:
    """The ONNX element type of a project dtype name: the inverse of `dtype_name`."""
    import onnx

    codes = {dtype_name(code): code for code in onnx.TensorProto.DataType.values()}
    code: int = codes[dtype]
    return code


def _load(path: Path) -> onnx.ModelProto:
    """The model without its external data, of which only names and sizes are checked."""
    import onnx
    from google.protobuf.message import DecodeError

    try:
        size = path.stat().st_size
        if path.is_dir():
            raise Unable("onnx", f"{path} is a folder", fix="give the .onnx file in it")
        if size == 0:
            raise Unable("onnx", f"{path} is empty", fix="export the model again")
        if _is_lfs_pointer(path):
            raise Unable("onnx", f"{path} is a Git LFS pointer, not the model", fix=_LFS_FIX)
        # The format is given, or a file named model.json would be taken for JSON.
        model = onnx.load(str(path), format="protobuf", load_external_data=False)
    except FileNotFoundError as error:
        fix = "check the path, or export the model first"
        raise Unable("onnx", f"there is no ONNX file {path}", fix=fix) from error
    except OSError as error:
        raise Unable("onnx", f"{path} can't be read: {error.strerror}", fix="check the path") from error
    except DecodeError as error:
        raise Unable(
            "onnx",
            f"{path} is no ONNX model, or it is damaged: its {size} bytes can't be decoded as protobuf",
            fix="check that it was copied whole, or export the model again",
            detail=str(error),
        ) from error
    if not model.HasField("graph") or not (model.graph.node or model.graph.output):
        raise Unable("onnx", f"{path} holds no graph", fix="check that it is an ONNX model, saved whole")
    for tensor in _all_tensors(model):
        _check_external_data(path, tensor)
    return model


def _is_lfs_pointer(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_LFS_POINTER)) == _LFS_POINTER


def _output_info(value: onnx.ValueInfoProto, path: str) -> ValueInfo:
    """An output may also be an optional tensor, or sequences and maps of tensors."""
    kind = value.type
    if kind.WhichOneof("value") == "optional_type":
        kind = kind.optional_type.elem_type
    form: Form = "optional" if kind is not value.type else "tensor"
    while kind.WhichOneof("value") in ("sequence_type", "map_type"):
        form = "collection"
        of_map = kind.WhichOneof("value") == "map_type"
        kind = kind.map_type.value_type if of_map else kind.sequence_type.elem_type
    tensor = type(value)(name=value.name, type=kind)
    found = _value_info(tensor, f"output of {path}")
    return replace(found, form=form, shape=None if form == "collection" else found.shape)


def _value_info(value: onnx.ValueInfoProto, role: str) -> ValueInfo:
    kind = value.type.WhichOneof("value")
    if kind is None:
        return ValueInfo(name=value.name, dtype="undefined", shape=None)  # ONNX Runtime infers it
    if kind != "tensor_type":
        raise Unable(
            "onnx",
            f"{value.name!r}, {role}, is a {kind.removesuffix('_type').replace('_', ' ')}: "
            "inputs are tensors, outputs tensors, optional tensors, or sequences and maps of tensors",
            fix="export the model so that they are",
        )
    tensor = value.type.tensor_type
    shape = None
    if tensor.HasField("shape"):
        shape = tuple(_dimension(dim) for dim in tensor.shape.dim)
    return ValueInfo(name=value.name, dtype=dtype_name(tensor.elem_type), shape=shape)


def _dimension(dim: onnx.TensorShapeProto.Dimension) -> int | str | None:
    if dim.HasField("dim_value"):
        return dim.dim_value if dim.dim_value >= 0 else None  # some exporters write -1 for an unknown axis
    return dim.dim_param or None


def _all_tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Every constant of the model: initializers and attributes, in subgraphs and functions too."""
    yield from _graph_tensors(model.graph)
    for function in model.functions:
        yield from _node_tensors(function.node)


def _graph_tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    yield from _node_tensors(graph.node)


def _node_tensors(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.TensorProto]:
    for node in nodes:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            if attribute.HasField("g"):
                yield from _graph_tensors(attribute.g)
            for graph in attribute.graphs:
                yield from _graph_tensors(graph)


def _check_external_data(model: Path, tensor: onnx.TensorProto) -> None:
    """Raises `Unable` unless the file with the tensor's values is there and long enough."""
    from onnx.external_data_helper import ExternalDataInfo, uses_external_data

    if not uses_external_data(tensor):
        return
    whose = f"tensor {tensor.name!r} of {model}"
    try:
        info = ExternalDataInfo(tensor)
        offset, length = int(info.offset or 0), int(info.length or 0)
    except ValueError as error:
        raise Unable("onnx", f"the external data of {whose} is declared wrongly: {error}") from error
    inside = Path(os.path.normpath(info.location))
    if not info.location or inside.is_absolute() or inside.parts[:1] == (os.pardir,):
        raise Unable(
            "onnx",
            f"the external data of {whose} lies at {info.location!r}, outside the model's folder",
            fix="save the model with its external data beside it",
        )
    data = model.parent / inside
    if not data.is_file():
        raise Unable(
            "onnx",
            f"the external data of {whose} is missing: there is no file {data}",
            fix="put it beside the model: an ONNX file with external data must be moved together with it",
        )
    size, needed = data.stat().st_size, offset + (length or _byte_size(tensor))
    if size < needed:
        pointer = _is_lfs_pointer(data)
        raise Unable(
            "onnx",
            f"the external data of {whose} is too short: {data} has {size} bytes, {needed} are needed"
            + (" (it is a Git LFS pointer)" if pointer else ""),
            fix=_LFS_FIX if pointer else "check that it was copied whole, or export the model again",
        )


def _byte_size(tensor: onnx.TensorProto) -> int:
    """Bytes of a tensor's raw values; types of less than a byte are packed."""
    dtype = dtype_name(tensor.data_type)
    bits = {"int4": 4, "uint4": 4, "float4_e2m1fn": 4, "int2": 2, "uint2": 2}.get(dtype)
    elements: int = math.prod(tensor.dims)
    return (elements * (bits or numpy_dtype(dtype).itemsize * 8) + 7) // 8
