"""Casts, constants and new tensors: where the float type of the file becomes float64.

These take values of any kind, also strings, float8 and int4, which PyTorch can't hold.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto

from parity.artifacts import Array
from parity.diagnosis.onnx64.fallback import run_reference
from parity.diagnosis.onnx64.program import Node
from parity.diagnosis.onnx64.values import (
    RAISED,
    TORCH_INTEGERS,
    Tensor,
    Value,
    as_array,
    as_floats,
    as_ints,
    before_cutting,
    hold,
    rounded_through,
    tensor_like,
)

AnyOperator = Callable[..., "Value | tuple[Value, ...]"]
_NUMPY_FLOATS: dict[int, type[np.floating[Any]]] = {
    TensorProto.FLOAT16: np.float16,
    TensorProto.FLOAT: np.float32,
}


def cast(node: Node, x: Value, to: int) -> Value:
    """`x` as the ONNX element type `to`; among floats only a narrowing cast changes anything."""
    x = tensor_like(x)
    if to in RAISED:
        return rounded_through(_as_float64(x, node), to, node.setting.native)
    if to in TORCH_INTEGERS and isinstance(x, torch.Tensor):
        return (x if to == TensorProto.BOOL else before_cutting(x, node.setting.native)).to(
            TORCH_INTEGERS[to]
        )
    if to == TensorProto.STRING:
        return _as_strings(x, node)
    if to == TensorProto.COMPLEX64:
        to = TensorProto.COMPLEX128
    attributes = {
        name: node.attributes[name] for name in ("saturate", "round_mode") if name in node.attributes
    }
    plain = onnx.helper.make_node("Cast", ["x"], ["y"], to=to, **attributes)
    return run_reference(plain, onnx.defs.onnx_opset_version(), [x], node.setting.device)[0]


def _as_float64(x: Tensor | Array, node: Node) -> Tensor:
    if isinstance(x, torch.Tensor):
        return x.to(torch.float64)
    held = hold(x.astype(np.float64), node.setting.device)
    assert isinstance(held, torch.Tensor)
    return held


def _as_strings(x: Tensor | Array, node: Node) -> Array:
    """Floats are written with the digits of the graph's own type, or 0.1 would read 0.10000000149."""
    array = as_array(x)
    if array.dtype == np.float64:
        array = array.astype(_NUMPY_FLOATS.get(node.setting.native, np.float64))
    return array.astype(np.str_).astype(object)


def _cast(node: Node, x: Value) -> Value:
    to = node.attributes["to"]
    # Before operator set 6 the type was written out.
    return cast(node, x, TensorProto.DataType.Value(to) if isinstance(to, str) else int(to))


def _cast_like(node: Node, x: Value, like: Value) -> Value:
    declared = node.setting.types.get(node.inputs[1])
    if declared is None:
        array = as_array(tensor_like(like))
        raised = array.dtype == np.float64
        declared = node.setting.native if raised else onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
    return cast(node, x, declared)


def _bit_cast(node: Node, x: Value) -> Value:
    """The same bits as another type: float64 goes back to the type in the file first."""
    source, to = node.setting.types.get(node.inputs[0], node.setting.native), node.integer("to")
    array = as_array(tensor_like(x))
    if source in RAISED:
        array = array.astype(onnx.helper.tensor_dtype_to_np_dtype(source))
    return hold(array.view(onnx.helper.tensor_dtype_to_np_dtype(to)), node.setting.device)


def _constant(node: Node) -> Value:
    name, value = next(item for item in node.attributes.items() if item[0].startswith(("value", "sparse_")))
    if name in ("value", "sparse_value"):
        held: Value = value
        return held
    dtype = {
        "value_float": np.float64,
        "value_floats": np.float64,
        "value_int": np.int64,
        "value_ints": np.int64,
    }
    return hold(np.array(value, dtype.get(name)), node.setting.device)


def _constant_of_shape(node: Node, shape: Value) -> Value:
    value = node.attributes.get("value")
    if value is None:
        value = torch.zeros(1, dtype=torch.float64, device=node.setting.device)
    sizes = as_ints(shape)
    return (
        value.reshape(()).expand(sizes) if isinstance(value, torch.Tensor) else np.full(sizes, value.item())
    )


def _shape(node: Node, x: Value) -> Value:
    sizes = list(tensor_like(x).shape)
    end = node.attributes.get("end")
    return torch.tensor(sizes[slice(node.integer("start"), end)], dtype=torch.int64)


def _size(_node: Node, x: Value) -> Value:
    return torch.tensor(int(np.prod(tensor_like(x).shape, dtype=np.int64)))


def _eye_like(node: Node, like: Value) -> Value:
    given = tensor_like(like)
    rows, columns = (given.shape * 2)[:2] if given.ndim == 1 else given.shape
    eye = torch.from_numpy(np.eye(rows, columns, node.integer("k")))
    if "dtype" in node.attributes:
        return cast(node, eye.to(node.setting.device), node.integer("dtype"))
    return eye.to(given) if isinstance(given, torch.Tensor) else as_array(eye).astype(given.dtype)


def _range(node: Node, start: Value, limit: Value, delta: Value) -> Value:
    first = tensor_like(start)
    floating = isinstance(first, torch.Tensor) and first.is_floating_point()
    begin, end, step = (as_floats(v)[0] if floating else as_ints(v)[0] for v in (start, limit, delta))
    steps = before_cutting(torch.tensor((end - begin) / step, dtype=torch.float64), node.setting.native)
    count = max(int(torch.ceil(steps)), 0)
    if floating:
        return torch.arange(count, dtype=torch.float64, device=node.setting.device) * step + begin
    values = begin + step * np.arange(count, dtype=np.int64)
    return hold(values.astype(as_array(first).dtype), node.setting.device)


OPERATORS: dict[str, AnyOperator] = {
    "BitCast": _bit_cast,
    "Cast": _cast,
    "CastLike": _cast_like,
    "Constant": _constant,
    "ConstantOfShape": _constant_of_shape,
    "EyeLike": _eye_like,
    "Identity": lambda _node, x: x,
    "Range": _range,
    "Shape": _shape,
    "Size": _size,
}
