"""What flows along the edges of a graph that is evaluated in float64.

| ONNX | held as |
| --- | --- |
| float16, bfloat16, float32, float64 | `torch.Tensor`, float64 |
| complex64, complex128 | `torch.Tensor`, complex128 |
| bool, int8, int16, int32, int64, uint8 | `torch.Tensor` of that dtype |
| other integers, float8, float6, float4, string | `numpy.ndarray`, as they are |
| sequence | list of values |
| optional without a value, omitted input | `None` |

Values are never changed in place: several names may share memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import ml_dtypes
import numpy as np
import torch
from onnx import TensorProto

from parity.artifacts import Array

Tensor = torch.Tensor


@dataclass(frozen=True, slots=True)
class Unknown:
    """Stands for a value that could not be computed; whatever depends on it is unknown too.

    Args:
        reason: names the node, its operator and what went wrong.
    """

    reason: str


class CannotEvaluate(Exception):
    """An operator that has no answer, for the reason that the message gives."""


# Sequences are lists of values; mypy has no use for the recursion here.
Value: TypeAlias = "Tensor | Array | list[Any] | Unknown | None"

RAISED = frozenset([TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.FLOAT, TensorProto.DOUBLE])
"""ONNX element types that are held in float64."""

TORCH_INTEGERS: dict[int, torch.dtype] = {
    TensorProto.BOOL: torch.bool,
    TensorProto.INT8: torch.int8,
    TensorProto.INT16: torch.int16,
    TensorProto.INT32: torch.int32,
    TensorProto.INT64: torch.int64,
    TensorProto.UINT8: torch.uint8,
}
_HELD_BY_TORCH = frozenset(["bool", "int8", "int16", "int32", "int64", "uint8", "float64", "complex128"])
_RAISED_TO = {
    np.dtype(np.float16): np.float64,
    np.dtype(ml_dtypes.bfloat16): np.float64,
    np.dtype(np.float32): np.float64,
    np.dtype(np.complex64): np.complex128,
}
_RAISED_TENSORS = {
    torch.float16: torch.float64,
    torch.bfloat16: torch.float64,
    torch.float32: torch.float64,
    torch.complex64: torch.complex128,
}
_NARROW: dict[int, torch.dtype] = {
    TensorProto.FLOAT16: torch.float16,
    TensorProto.BFLOAT16: torch.bfloat16,
    TensorProto.FLOAT: torch.float32,
}


def hold(value: Any, device: torch.device) -> Value:
    """Any array, tensor or sequence as the value that the evaluator holds for it; never shares memory.

    Floats go to `device`. Integers stay on the CPU, where shape arithmetic is cheap; an operator that
    meets both computes on `device`.
    """
    if value is None or isinstance(value, Unknown):
        return value
    if isinstance(value, list | tuple):
        return [hold(item, device) for item in value]
    if isinstance(value, torch.Tensor):
        raised = value.detach().to(_RAISED_TENSORS.get(value.dtype, value.dtype), copy=True)
        return raised.to(device) if raised.is_floating_point() or raised.is_complex() else raised.cpu()
    array = np.asarray(value)
    if array.dtype.kind in "US":
        array = array.astype(object)
    array = np.array(array, dtype=_RAISED_TO.get(array.dtype, array.dtype), order="C", copy=True)
    if array.dtype.name not in _HELD_BY_TORCH:
        return array
    tensor = torch.from_numpy(array)
    return tensor.to(device) if array.dtype.kind in "fc" else tensor


def as_array(value: Tensor | Array) -> Array:
    """The value in NumPy: float64 for every float type, other dtypes as they are. May share memory."""
    if isinstance(value, np.ndarray):
        return value
    array: Array = value.detach().resolve_conj().cpu().numpy()
    return array


def as_ints(value: Value) -> list[int]:
    """The elements of a tensor of integers, such as a shape, axes or pads."""
    array = as_array(tensor_like(value))
    return [int(element) for element in array.reshape(-1)]


def as_floats(value: Value) -> list[float]:
    """The elements of a tensor of numbers, such as scales."""
    array = as_array(tensor_like(value))
    return [float(element) for element in array.reshape(-1)]


def as_bool(value: Value) -> bool:
    """The one element of a condition.

    Raises:
        ValueError: it has not exactly one.
    """
    array = as_array(tensor_like(value))
    if array.size != 1:
        raise ValueError(f"a condition has one element, not the shape {list(array.shape)}")
    return bool(array.reshape(-1)[0])


def tensor_like(value: Value) -> Tensor | Array:
    """The value, which is a tensor.

    Raises:
        TypeError: it is a sequence or missing.
    """
    if isinstance(value, torch.Tensor | np.ndarray):
        return value
    raise TypeError(f"a tensor is needed here, not {type(value).__name__}")


def first_unknown(values: Sequence[Value]) -> Unknown | None:
    """The first value that is unknown, also inside a sequence."""
    for value in values:
        if isinstance(value, Unknown):
            return value
        if isinstance(value, list) and (inside := first_unknown(value)):
            return inside
    return None


def contains(wide: int, narrow: int) -> bool:
    """Whether every number of one raised element type is one of the other."""
    if TensorProto.DOUBLE in (wide, narrow):
        return wide == TensorProto.DOUBLE
    outer, inner = torch.finfo(_NARROW[wide]), torch.finfo(_NARROW[narrow])
    return outer.eps <= inner.eps and outer.max >= inner.max


def rounded_through(tensor: Tensor, element_type: int, native: int) -> Tensor:
    """A float64 tensor after a cast to `element_type`, in a graph whose own float type is `native`.

    A cast within the native type is not rounded, for that is the rounding which float64 evaluation is to
    remove. A cast to a narrower type is: it changes what the graph means.
    """
    if element_type == TensorProto.DOUBLE or contains(element_type, native):
        return tensor
    return tensor.to(_NARROW[element_type]).to(torch.float64)


def before_cutting(tensor: Tensor, native: int) -> Tensor:
    """A float64 tensor of which only the whole part is wanted next: rounded to float32 first.

    Sizes are computed so: 10 * 0.7 is 7 in float32, but 6.9999999 in float64, because the 0.7 in the file is
    a float32 number. A graph whose own type is float64 is left alone.
    """
    if native == TensorProto.DOUBLE or not tensor.is_floating_point():
        return tensor
    return tensor.to(torch.float32).to(torch.float64)
