"""Convolution in float64 on the CPU, where PyTorch's own kernel is slow and lays out all windows at once.

Windows are laid out a few rows of the result at a time and multiplied by the weights: the product stays in
the cache, and the memory for the windows within a fixed size. Windows of 3 x 3 share work, where that is
sound.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from .winograd64 import convolve_winograd, suits_winograd

_ELEMENTS = 1 << 19  # of windows that are laid out at a time: 4 MiB, which caches hold


def suits(x: Tensor, w: Tensor, groups: int) -> bool:
    """Whether `convolve` takes these operands, and gains something: two axes, one group, a real kernel."""
    return (
        x.device.type == "cpu"
        and x.dtype == w.dtype == torch.float64
        and x.ndim == w.ndim == 4
        and groups == 1
        and w.shape[2] * w.shape[3] > 1
        and min(x.shape) > 0
        and w.shape[1] * w.shape[2] * w.shape[3] >= 64  # less is bound by memory, not by multiplying
    )


def convolve(
    x: Tensor,
    w: Tensor,
    b: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> Tensor:
    """Cross-correlation of x (N, C, H, W) with w (M, C, kH, kW), plus b (M), in float64.

    As `torch.nn.functional.conv2d` with one group; equal to it within the rounding of float64.
    """
    if suits_winograd(x, w, stride, dilation):
        result = convolve_winograd(x, w, padding)
        return result if b is None else result.add_(b.view(-1, 1, 1))
    if any(padding):
        x = functional.pad(x, (padding[1], padding[1], padding[0], padding[0]))
    x = x.contiguous()
    kernel = w.shape[2:]
    height, width = (
        (size - step * (k - 1) - 1) // jump + 1
        for size, k, jump, step in zip(x.shape[2:], kernel, stride, dilation, strict=True)
    )
    result = x.new_empty(x.shape[0], w.shape[0], height, width)
    weights = w.reshape(w.shape[0], -1)
    rows = max(1, _ELEMENTS // (weights.shape[1] * width))
    channel, row, column = x.stride()[1:]
    for image, into in zip(x, result, strict=True):
        for top in range(0, height, rows):
            count = min(rows, height - top)
            windows = image.as_strided(
                (image.shape[0], *kernel, count, width),
                (channel, row * dilation[0], column * dilation[1], row * stride[0], column * stride[1]),
                image.storage_offset() + top * stride[0] * row,
            )
            product = torch.mm(weights, windows.reshape(weights.shape[1], count * width))
            into[:, top : top + count] = product.view(-1, count, width)
    return result if b is None else result.add_(b.view(-1, 1, 1))


def suits_transposed(
    x: Tensor, w: Tensor, stride: Sequence[int], dilation: Sequence[int], groups: int
) -> bool:
    """Whether `convolve_transposed` takes these operands: its windows lie side by side."""
    return (
        x.device.type == "cpu"
        and x.dtype == w.dtype == torch.float64
        and x.ndim == w.ndim == 4
        and groups == 1
        and tuple(stride) == tuple(w.shape[2:])
        and all(each == 1 for each in dilation)
        and min(*x.shape, *w.shape) > 0
    )


def convolve_transposed(x: Tensor, w: Tensor) -> Tensor:
    """Transposed convolution of x (N, C, H, W) with w (C, M, kH, kW), stride (kH, kW), in float64.

    As `torch.nn.functional.conv_transpose2d` without bias and padding; equal to it within the rounding of
    float64. Every element of the result comes from one place of x, so that it is a matrix product alone.
    """
    count, taken, height, width = x.shape
    _, given, down, across = w.shape
    result = x.new_empty(count, given, height, down, width, across)
    weights = w.reshape(taken, -1).t()
    rows = max(1, _ELEMENTS // (weights.shape[0] * width))
    for image, into in zip(x, result, strict=True):
        for top in range(0, height, rows):
            some = image[:, top : top + rows]
            product = torch.mm(weights, some.reshape(taken, -1))
            into[:, top : top + rows] = product.view(given, down, across, -1, width).permute(0, 3, 1, 4, 2)
    return result.view(count, given, height * down, width * across)
