"""Tensors in the run directory: `.npy` files and the records that describe them. Never pickle.

NumPy has no bfloat16, float8 or int4 of its own, so the file of such a tensor holds the raw bits and the
record the dtype; `read_tensor` gives the array back with the dtype of the `ml_dtypes` package.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from parity.errors import CannotJudge
from parity.records.tensors import TensorRecord

Array = npt.NDArray[Any]

# ONNX name -> attribute of ml_dtypes, for what NumPy alone does not have.
_EXTENDED = {
    "bfloat16": "bfloat16",
    "float8_e4m3fn": "float8_e4m3fn",
    "float8_e4m3fnuz": "float8_e4m3fnuz",
    "float8_e5m2": "float8_e5m2",
    "float8_e5m2fnuz": "float8_e5m2fnuz",
    "float8_e8m0fnu": "float8_e8m0fnu",
    "float4_e2m1fn": "float4_e2m1fn",
    "int4": "int4",
    "uint4": "uint4",
    "int2": "int2",
    "uint2": "uint2",
}
_PLAIN = frozenset(
    ["float16", "float32", "float64", "complex64", "complex128", "bool"]
    + [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
)


@cache
def numpy_dtype(name: str) -> np.dtype[Any]:
    """The NumPy dtype for an ONNX dtype name; `string` is a Unicode dtype of no fixed width.

    Raises:
        CannotJudge: no such dtype.
    """
    if name in _PLAIN:
        return np.dtype(name)
    if name == "string":
        return np.dtype(np.str_)
    if name in _EXTENDED:
        import ml_dtypes

        extended: np.dtype[Any] = np.dtype(getattr(ml_dtypes, _EXTENDED[name]))
        return extended
    raise CannotJudge(f"no tensor can have the dtype {name!r}", fix="use the name of an ONNX dtype")


def dtype_name(dtype: np.dtype[Any]) -> str:
    """The ONNX name of a NumPy (or ml_dtypes) dtype.

    Raises:
        CannotJudge: the dtype has no ONNX name.
    """
    if dtype.kind in "US":
        return "string"
    if dtype.name in _PLAIN or dtype.name in _EXTENDED:
        return dtype.name
    raise CannotJudge(f"arrays of dtype {dtype} can't be compared", fix="return tensors, not Python objects")


def write_tensor(directory: Path, name: str, array: Array, *, hashed: bool = False) -> TensorRecord:
    """Writes one tensor into `directory`, under a file name that is safe whatever `name` holds.

    With `hashed`, the record carries a SHA-256 over dtype, shape and bytes in C order.
    """
    directory.mkdir(parents=True, exist_ok=True)
    dtype = dtype_name(array.dtype)
    array = np.asarray(array, order="C")
    stored = array.view(f"u{array.dtype.itemsize}") if dtype in _EXTENDED else array
    path = directory / _file_name(name)
    np.save(path, stored, allow_pickle=False)
    digest = _digest(dtype, stored) if hashed else ""
    return TensorRecord(name=name, dtype=dtype, shape=array.shape, file=str(path), sha256=digest)


def read_tensor(record: TensorRecord) -> Array:
    """The tensor that a record describes, mapped from its file rather than loaded, read-only.

    Raises:
        CannotJudge: the file is missing, damaged, or not what the record says.
    """
    mode: Literal["r"] | None = "r" if all(record.shape) else None  # an empty array can't be mapped
    try:
        stored: Array = np.load(record.file, mmap_mode=mode, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise CannotJudge(f"the saved tensor can't be read: {error}", at=record.file) from error
    array = stored.view(numpy_dtype(record.dtype)) if record.dtype in _EXTENDED else stored
    if array.shape != record.shape or dtype_name(array.dtype) != record.dtype:
        raise CannotJudge(
            f"the file holds {dtype_name(array.dtype)}{list(array.shape)}, "
            f"its record says {record.dtype}{list(record.shape)}",
            at=record.file,
        )
    return array


def _file_name(name: str) -> str:
    """Readable where the name allows, unique in any case: names come from models and hold anything."""
    readable = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in name)[:60]
    suffix = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{readable.lstrip('.')}-{suffix}.npy"


def _digest(dtype: str, stored: Array) -> str:
    digest = hashlib.sha256(f"{dtype}{list(stored.shape)}".encode())
    digest.update(np.ascontiguousarray(stored).data.cast("B") if stored.size else b"")
    return digest.hexdigest()
