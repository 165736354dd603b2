"""Pools over any number of spatial axes, all as reductions over unfolded windows or PyTorch's own."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce

import torch
from torch.nn import functional

from parity.diagnosis.onnx64.operators.elementwise import Operator
from parity.diagnosis.onnx64.operators.windows import Window, padded, pooled_sizes, window
from parity.diagnosis.onnx64.program import Node
from parity.diagnosis.onnx64.values import Tensor

_MAX: dict[int, Callable[..., tuple[Tensor, Tensor]]] = {
    1: functional.max_pool1d_with_indices,
    2: functional.max_pool2d_with_indices,
    3: functional.max_pool3d_with_indices,
}


def _fitted(node: Node, x: Tensor) -> tuple[Window, list[int], list[int]]:
    """The window, the output's sizes, and how far the end must be padded for every window to be whole."""
    kernel = node.integers("kernel_shape") or []
    found = window(node, x.shape[2:], kernel)
    sizes = pooled_sizes(found, x.shape[2:], ceil=bool(node.integer("ceil_mode")))
    needed = [
        (count - 1) * stride + span - size - before
        for count, stride, span, size, before in zip(
            sizes, found.strides, found.span, x.shape[2:], found.before, strict=True
        )
    ]
    return found, sizes, needed


def _window_sums(x: Tensor, found: Window, sizes: list[int]) -> Tensor:
    """Sums over every window of an input that is padded already."""
    spatial = range(2, x.ndim)
    for axis, kernel, stride, dilation, size in zip(
        spatial, found.kernel, found.strides, found.dilations, sizes, strict=True
    ):
        reach = (size - 1) * stride + 1
        ahead = (slice(None),) * axis
        taps = [x[(*ahead, slice(k * dilation, k * dilation + reach, stride))] for k in range(kernel)]
        x = reduce(torch.add, taps)
    return x


def _average_pool(node: Node, x: Tensor) -> Tensor:
    found, sizes, needed = _fitted(node, x)
    sums = _window_sums(padded(x, found.before, needed), found, sizes)
    ones = torch.ones((1, 1, *x.shape[2:]), dtype=x.dtype, device=x.device)
    if node.integer("count_include_pad"):
        # What ceil_mode adds beyond the padding never counts.
        ones = padded(ones, found.before, found.after, 1.0)
        beyond = [n - a for n, a in zip(needed, found.after, strict=True)]
        counts = _window_sums(padded(ones, [0] * len(beyond), beyond), found, sizes)
    else:
        counts = _window_sums(padded(ones, found.before, needed), found, sizes)
    return sums / counts


def _lp_pool(node: Node, x: Tensor) -> Tensor:
    p = node.integer("p", 2)
    found, sizes, needed = _fitted(node, x)
    return _window_sums(padded(x.abs() ** p, found.before, needed), found, sizes) ** (1 / p)


def _max_pool(node: Node, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
    found, _, needed = _fitted(node, x)
    lowest = -math.inf if x.is_floating_point() else torch.iinfo(x.dtype).min
    wide = x if x.is_floating_point() else x.double()  # exact: MaxPool takes integers of 8 bits
    wide = padded(wide, found.before, needed, float(lowest))
    y, where = _MAX[x.ndim - 2](wide, found.kernel, found.strides, 0, found.dilations)
    y = y.to(x.dtype)
    return (y, _flat_indices(node, where, x, wide, found)) if node.wants(1) else y


def _flat_indices(node: Node, where: Tensor, x: Tensor, wide: Tensor, found: Window) -> Tensor:
    """PyTorch's indices into one padded channel as ONNX's into the whole tensor without padding."""
    coordinates: list[Tensor] = []
    for size, before in zip(reversed(wide.shape[2:]), reversed(found.before), strict=True):
        coordinates.insert(0, where % size - before)
        where = where // size
    order = list(range(x.ndim - 2))
    if node.integer("storage_order"):  # column major
        order.reverse()
    flat = torch.zeros_like(where)
    for axis in order:
        flat = flat * x.shape[2 + axis] + coordinates[axis]
    planes = torch.arange(x.shape[0] * x.shape[1], device=x.device) * math.prod(x.shape[2:])
    return flat + planes.reshape(x.shape[0], x.shape[1], *[1] * (x.ndim - 2))


def _max_unpool(node: Node, x: Tensor, indices: Tensor, shape: Tensor | None = None) -> Tensor:
    kernel = node.integers("kernel_shape") or []
    axes = len(kernel)
    strides, pads = node.integers("strides") or [1] * axes, node.integers("pads") or [0] * (2 * axes)
    natural = [
        (size - 1) * stride - pads[axis] - pads[axes + axis] + k
        for axis, (size, stride, k) in enumerate(zip(x.shape[2:], strides, kernel, strict=True))
    ]
    plain = torch.zeros(math.prod((*x.shape[:2], *natural)), dtype=x.dtype, device=x.device)
    plain[indices.reshape(-1)] = x.reshape(-1)
    y = plain.reshape(*x.shape[:2], *natural)
    if shape is None:
        return y
    return padded(y, [0] * axes, [int(s) - n for s, n in zip(shape.tolist()[2:], natural, strict=True)])


def _over_space(function: Callable[[Tensor, list[int]], Tensor]) -> Operator:
    return lambda _node, x: function(x, list(range(2, x.ndim)))


def _global_lp_pool(node: Node, x: Tensor) -> Tensor:
    p = node.integer("p", 2)
    return x.abs().pow(p).sum(list(range(2, x.ndim)), keepdim=True) ** (1 / p)


OPERATORS: dict[str, Operator] = {
    "AveragePool": _average_pool,
    "GlobalAveragePool": _over_space(lambda x, axes: x.mean(axes, keepdim=True)),
    "GlobalLpPool": _global_lp_pool,
    "GlobalMaxPool": _over_space(lambda x, axes: x.amax(axes, keepdim=True)),
    "LpPool": _lp_pool,
    "MaxPool": _max_pool,
    "MaxUnpool": _max_unpool,
}
