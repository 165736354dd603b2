"""Input sets in files: .npz and .npy of NumPy, .pt of PyTorch, .pb of ONNX. Nothing is unpickled."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from parity.artifacts import Array, dtype_name
from parity.errors import CannotJudge
from parity.registry import INPUT_FORMATS, resolve
from parity.worker.problems import Unable

Named = tuple[str, Array]


def read_file(path: Path) -> dict[str, Array]:
    """The tensors of one file by input name.

    Raises:
        Unable: ``input``; the format is unknown, the file is missing or damaged, or holds something else.
    """
    if path.suffix not in INPUT_FORMATS:
        known = ", ".join(INPUT_FORMATS)
        raise Unable("input", f"{path.name} is of no known format", fix=f"use one of: {known}")
    if not path.is_file():
        raise Unable("input", f"there is no file {path}", fix="paths are relative to the specification")
    if path.stat().st_size == 0:
        raise _broken(path, "it is empty")
    tensors: dict[str, Array] = resolve(INPUT_FORMATS[path.suffix])(path)
    if not tensors:
        raise Unable("input", f"{path.name} holds no tensor", fix="save one array for each input")
    for name, array in tensors.items():
        try:
            dtype_name(array.dtype)
        except CannotJudge as error:
            raise Unable("input", f"{name!r} in {path.name}: {error.problem}", fix=error.fix) from error
    return tensors


def read_npz(path: Path) -> dict[str, Array]:
    """Each array by the name it was saved under."""
    with _loaded(path) as archive:
        if isinstance(archive, np.ndarray):
            raise _broken(path, "it is one array: rename it to .npy")
        return {name: archive[name] for name in archive.files}


def read_npy(path: Path) -> dict[str, Array]:
    """The one array, named by the file: ``x.npy`` is the input ``x``."""
    with _loaded(path) as array:
        if not isinstance(array, np.ndarray):
            raise _broken(path, "it is an archive: rename it to .npz")
        return {path.stem: array}


def read_pt(path: Path) -> dict[str, Array]:
    """A dict of tensors by name, or one tensor that is named by the file."""
    import torch

    from parity.worker.tensors import to_numpy

    try:
        data = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle raises anything at all
        raise _broken(path, "it is damaged, or holds more than tensors", str(error)) from error
    if isinstance(data, torch.Tensor):
        data = {path.stem: data}
    if not isinstance(data, Mapping):
        raise Unable(
            "input",
            f"{path.name} holds an object of type {type(data).__qualname__}",
            fix="save a dict of tensors by input name",
        )
    for name, value in data.items():
        if not isinstance(value, torch.Tensor):
            raise Unable(
                "input",
                f"{name!r} in {path.name} is an object of type {type(value).__qualname__}, no tensor",
                fix="save tensors only",
            )
    return {str(name): to_numpy(value, str(name)) for name, value in data.items()}


def read_pb(path: Path) -> dict[str, Array]:
    """A serialized ONNX TensorProto, by its own name or, where it has none, the file's."""
    name, array = read_proto(path)
    return {name or path.stem: array}


def read_proto(path: Path) -> Named:
    """A serialized ONNX TensorProto: the name in it, which may be empty, and its values.

    Raises:
        Unable: ``input``; it is damaged, or a sequence, a map or an optional value.
    """
    import onnx
    from google.protobuf.message import DecodeError
    from onnx import numpy_helper

    try:
        content = path.read_bytes()
        proto = onnx.TensorProto.FromString(content)
        if proto.data_location == onnx.TensorProto.EXTERNAL:
            raise _broken(path, "its values are in another file")
        array = numpy_helper.to_array(proto)
        dtype_name(array.dtype if proto.data_type != onnx.TensorProto.STRING else np.dtype(np.str_))
    except (DecodeError, ValueError, TypeError, KeyError, CannotJudge) as error:
        if _is_collection(content):
            raise Unable(
                "input",
                f"{path.name} holds a sequence or an optional value: only tensors are supported",
                fix="use a model and data whose inputs and outputs are tensors",
            ) from error
        raise _broken(path, "it is no TensorProto, or is damaged", str(error)) from error
    if proto.data_type == onnx.TensorProto.STRING:
        array = array.astype(np.str_)
    return proto.name, array


def _is_collection(content: bytes) -> bool:
    """Whether the bytes are a SequenceProto or an OptionalProto: protobuf does not say what it holds."""
    import onnx
    from google.protobuf.message import DecodeError

    try:
        proto = onnx.SequenceProto.FromString(content)  # an OptionalProto has the same fields
    except DecodeError:
        return False
    proto.DiscardUnknownFields()
    return bool(proto.elem_type) and proto.ByteSize() == len(content)  # nothing was left over


@contextmanager
def _loaded(path: Path) -> Iterator[Any]:
    """What `np.load` makes of the file, and readable errors of reading its arrays as well."""
    try:
        with path.open("rb") as file:  # np.load leaves its own open when it fails
            yield np.load(file, allow_pickle=False)
    # ValueError for a pickle, EOFError or BadZipFile for a file that was cut.
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise _broken(path, "it is damaged, or holds Python objects", str(error)) from error


def _broken(path: Path, why: str, detail: str = "") -> Unable:
    return Unable(
        "input",
        f"the input file {path.name} can't be read: {why}",
        fix="save it again, tensors only: Python objects are not read, since that would run code",
        detail=detail,
    )
