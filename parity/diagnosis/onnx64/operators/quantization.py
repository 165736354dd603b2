"""Quantization as it is: the rounding to the grid stays, only the arithmetic around it is in float64."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from onnx import TensorProto

from parity.diagnosis.onnx64.operators.convolution import conv
from parity.diagnosis.onnx64.operators.elementwise import Operator
from parity.diagnosis.onnx64.program import Node
from parity.diagnosis.onnx64.values import TORCH_INTEGERS, Tensor


class NotOnThisGrid(Exception):
    """The quantized type is none that PyTorch holds: the reference implementation knows it."""


def _spread(parameter: Tensor, x: Tensor, axis: int, block: int) -> Tensor:
    """A scale or zero point as it broadcasts to `x`: one number, one for each index of `axis`, or blocks."""
    if parameter.numel() == 1 and parameter.ndim <= 1:
        return parameter.reshape(())
    if block and parameter.ndim == x.ndim:
        return parameter.repeat_interleave(block, axis).narrow(axis, 0, x.shape[axis])
    if parameter.ndim <= 1:
        shape = [1] * x.ndim
        shape[axis] = -1
        return parameter.reshape(shape)
    return parameter


def _on_grid(x: Tensor, scale: Tensor, zero: Tensor | None, dtype: torch.dtype) -> Tensor:
    limits = torch.iinfo(dtype)
    codes = torch.round(x / scale) + (0 if zero is None else zero.double())
    return codes.clamp(limits.min, limits.max).to(dtype)


def _quantize(node: Node, x: Tensor, scale: Tensor, zero: Tensor | None = None) -> Tensor:
    wanted = node.integer("output_dtype") or TensorProto.UINT8
    if zero is None and wanted not in TORCH_INTEGERS:
        raise NotOnThisGrid
    dtype = TORCH_INTEGERS[wanted] if zero is None else zero.dtype
    axis, block = node.integer("axis", 1) % max(x.ndim, 1), node.integer("block_size")
    spread = None if zero is None else _spread(zero, x, axis, block)
    return _on_grid(x.double(), _spread(scale, x, axis, block), spread, dtype)


def _dequantize(node: Node, x: Tensor, scale: Tensor, zero: Tensor | None = None) -> Tensor:
    axis, block = node.integer("axis", 1) % max(x.ndim, 1), node.integer("block_size")
    offset = x.double() if zero is None else x.double() - _spread(zero, x, axis, block).double()
    return offset * _spread(scale, x, axis, block)


def _dynamic_quantize(_node: Node, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    high, low = x.max().clamp(min=0), x.min().clamp(max=0)
    width = high - low
    scale = torch.where(width == 0, torch.ones_like(width), width) / 255
    zero = torch.round((-low / scale).clamp(0, 255))
    return _on_grid(x, scale, zero, torch.uint8), scale, zero.to(torch.uint8)


def _centered(x: Tensor, zero: Tensor | None, axis: int) -> Tensor:
    return x.double() if zero is None else x.double() - _spread(zero, x, axis, 0).double()


def _matmul_integer(
    _node: Node, a: Tensor, b: Tensor, a_zero: Tensor | None = None, b_zero: Tensor | None = None
) -> Tensor:
    # Sums of products of 8 bits are whole numbers far below 2**53: exact in float64, and fast.
    return (_centered(a, a_zero, -2 % a.ndim) @ _centered(b, b_zero, -1 % b.ndim)).to(torch.int32)


def _conv_integer(
    node: Node, x: Tensor, w: Tensor, x_zero: Tensor | None = None, w_zero: Tensor | None = None
) -> Tensor:
    return conv(node, _centered(x, x_zero, 1), _centered(w, w_zero, 0)).to(torch.int32)


def _requantized(total: Tensor, factor: Tensor, scale: Tensor, zero: Tensor) -> Tensor:
    return _on_grid(total * factor, scale, zero, zero.dtype)


def _qlinear_matmul(_node: Node, *inputs: Tensor) -> Tensor:
    a, a_scale, a_zero, b, b_scale, b_zero, scale, zero = inputs
    rows, columns = -2 % a.ndim, -1 % b.ndim
    left = _centered(a, a_zero, rows) * _spread(a_scale, a, rows, 0)
    right = _centered(b, b_zero, columns) * _spread(b_scale, b, columns, 0)
    return _requantized(left @ right, torch.ones_like(scale), scale, zero)


def _qlinear_conv(node: Node, *inputs: Tensor) -> Tensor:
    x, x_scale, x_zero, w, w_scale, w_zero, scale, zero, *bias = inputs
    total = conv(node, _centered(x, x_zero, 1), _centered(w, w_zero, 0), *_doubles(bias))
    channels = _spread(w_scale, total, 1, 0)
    return _requantized(total, x_scale * channels, scale, zero)


def _doubles(tensors: Sequence[Tensor | None]) -> list[Tensor]:
    return [tensor.double() for tensor in tensors if tensor is not None]


OPERATORS: dict[str, Operator] = {
    "ConvInteger": _conv_integer,
    "DequantizeLinear": _dequantize,
    "DynamicQuantizeLinear": _dynamic_quantize,
    "MatMulInteger": _matmul_integer,
    "QLinearConv": _qlinear_conv,
    "QLinearMatMul": _qlinear_matmul,
    "QuantizeLinear": _quantize,
}
