"""Float inputs in the float dtype that an ONNX file declares, where a file was converted with its inputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from parity.artifacts import Array, dtype_name, numpy_dtype
from parity.records.tensors import ValueInfo


def is_float(dtype: str) -> bool:
    """Whether a dtype is one of the floats, of whatever width."""
    return dtype.startswith(("float", "bfloat"))


def cast_feeds(feeds: Mapping[str, Array], declared: Iterable[ValueInfo]) -> dict[str, Array]:
    """Every float array rounded to the float dtype that the file declares; all others as they are."""
    wanted = {value.name: value.dtype for value in declared}
    return {name: _cast(array, wanted.get(name, "")) for name, array in feeds.items()}


def _cast(array: Array, dtype: str) -> Array:
    own = dtype_name(array.dtype)
    if own == dtype or not (is_float(own) and is_float(dtype)):
        return array
    return array.astype(numpy_dtype(dtype))
