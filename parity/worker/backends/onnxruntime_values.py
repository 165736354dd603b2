"""Values of ONNX Runtime to and from NumPy and PyTorch: every dtype, bit for bit, without copies.

ONNX Runtime's own conversion to NumPy refuses bfloat16 and gives the bits of a float8 as plain integers.
So memory is handed over, and viewed in the dtype that the value itself reports.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from parity.artifacts import Array, dtype_name, numpy_dtype
from parity.worker import onnx_files
from parity.worker.problems import Unable

if TYPE_CHECKING:
    import torch


class _Memory:
    """Lends an OrtValue's memory as bytes to NumPy or PyTorch, which keep this object and so the value."""

    def __init__(self, value: Any) -> None:
        self.value = value
        interface = {
            "shape": (value.tensor_size_in_bytes(),),
            "typestr": "|u1",
            "data": (value.data_ptr(), False),
            "version": 3,
        }
        if value.device_name() == "cpu":
            self.__array_interface__ = interface
        else:
            self.__cuda_array_interface__ = interface


def to_ort(array: Array) -> Any:
    """A value on the host that uses the array's own memory and keeps it; any dtype but strings."""
    from onnxruntime import OrtValue

    held = np.asarray(array, order="C")
    return OrtValue.ortvalue_from_numpy_with_onnx_type(held, onnx_files.element_type(dtype_name(held.dtype)))


def to_numpy(value: Any, name: str) -> Array:
    """An array over the memory of a value on the host.

    Raises:
        Unable: ``onnx``; elements of less than a byte.
    """
    shape, dtype = _form(value, name)
    as_numpy = numpy_dtype(dtype)
    if prod(shape) == 0:
        return np.empty(shape, as_numpy)
    array: Array = np.asarray(_Memory(value)).view(as_numpy).reshape(shape)
    return array


def to_torch(value: Any, name: str, device: tuple[str, int]) -> torch.Tensor:
    """A tensor over the memory of a value on `device`, as ONNX Runtime names it: ("cuda", 0).

    Raises:
        Unable: ``onnx``; elements of less than a byte, or a dtype that PyTorch does not have.
    """
    import torch

    shape, dtype = _form(value, name)
    as_torch = getattr(torch, dtype, None)
    if as_torch is None:
        raise Unable("onnx", f"output {name!r} is {dtype}, and PyTorch has no such tensors")
    place = torch.device(*device)
    if prod(shape) == 0:
        return torch.empty(shape, dtype=as_torch, device=place)
    memory = _Memory(value)
    lent = (
        torch.from_numpy(np.asarray(memory)) if place.type == "cpu" else torch.as_tensor(memory, device=place)
    )
    return lent.view(as_torch).reshape(shape)


def _form(value: Any, name: str) -> tuple[tuple[int, ...], str]:
    """Shape and dtype of a value whose elements are whole bytes."""
    shape, dtype = tuple(value.shape()), onnx_files.dtype_name(value.element_type())
    if value.tensor_size_in_bytes() != prod(shape) * numpy_dtype(dtype).itemsize:
        raise Unable("onnx", f"output {name!r} is {dtype}: packed elements are not supported yet")
    return shape, dtype
