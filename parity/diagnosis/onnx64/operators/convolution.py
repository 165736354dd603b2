"""Convolutions over any number of spatial axes up to three."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn import functional

from parity.diagnosis.convolution64 import convolve, convolve_transposed, suits, suits_transposed
from parity.diagnosis.onnx64.operators.elementwise import Operator
from parity.diagnosis.onnx64.operators.windows import padded, window
from parity.diagnosis.onnx64.program import Node
from parity.diagnosis.onnx64.values import Tensor

_FORWARD: dict[int, Callable[..., Tensor]] = {
    1: torch.conv1d,
    2: torch.conv2d,
    3: torch.conv3d,
}
_TRANSPOSED: dict[int, Callable[..., Tensor]] = {
    1: functional.conv_transpose1d,
    2: functional.conv_transpose2d,
    3: functional.conv_transpose3d,
}


def conv(node: Node, x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
    """Conv: x (N, C, D1, ...), w (M, C / group, k1, ...), b (M)."""
    found = window(node, x.shape[2:], w.shape[2:])
    pads: list[int] = found.before
    if found.before != found.after or min(pads) < 0:
        x = padded(x, found.before, found.after)
        pads = [0] * len(pads)
    group = node.integer("group", 1)
    if suits(x, w, group):
        return convolve(x, w, b, found.strides, pads, found.dilations)
    return _FORWARD[x.ndim - 2](x, w, b, found.strides, pads, found.dilations, group)


def _conv_transpose(node: Node, x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
    """The whole transposed convolution; padding then cuts it, or fills it up where it is negative."""
    axes = x.ndim - 2
    kernel = list(w.shape[2:])
    strides = node.integers("strides") or [1] * axes
    dilations = node.integers("dilations") or [1] * axes
    extra = node.integers("output_padding") or [0] * axes
    full = [
        (size - 1) * stride + (k - 1) * dilation + 1
        for size, stride, k, dilation in zip(x.shape[2:], strides, kernel, dilations, strict=True)
    ]
    before, after = _cuts(node, x, [f + e for f, e in zip(full, extra, strict=True)], strides)
    group = node.integer("group", 1)
    if suits_transposed(x, w, strides, dilations, group):
        y = convolve_transposed(x, w)
    else:
        y = _TRANSPOSED[axes](x, w, None, strides, 0, 0, group, dilations)
    # Elements that no input reaches, from output_padding or a large output_shape, are zero.
    y = padded(y, [-cut for cut in before], [e - cut for e, cut in zip(extra, after, strict=True)])
    return y if b is None else y + b.reshape(-1, *[1] * axes)


def _cuts(node: Node, x: Tensor, full: list[int], strides: list[int]) -> tuple[list[int], list[int]]:
    """How much to cut from the start and the end of each axis of the full result."""
    axes = len(full)
    mode = node.text("auto_pad", "NOTSET")
    shape = node.integers("output_shape")
    pads = node.integers("pads")
    if shape is None and mode in ("SAME_UPPER", "SAME_LOWER"):
        shape = [size * stride for size, stride in zip(x.shape[2:], strides, strict=True)]
    if shape is None:
        cuts = (pads or [0] * (2 * axes)) if mode in ("NOTSET", "") else [0] * (2 * axes)
        return cuts[:axes], cuts[axes:]
    total = [f - wanted for f, wanted in zip(full, shape[-axes:], strict=True)]
    less = [t // 2 for t in total]
    more = [t - half for t, half in zip(total, less, strict=True)]
    # As the specification has it: SAME_UPPER puts the smaller half first, everything else last.
    return (less, more) if mode == "SAME_UPPER" else (more, less)


OPERATORS: dict[str, Operator] = {
    "Conv": conv,
    "ConvTranspose": _conv_transpose,
}
