"""Reductions over axes, and running sums."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from parity.diagnosis.onnx64.operators.elementwise import Operator
from parity.diagnosis.onnx64.program import Node
from parity.diagnosis.onnx64.values import Tensor, as_ints

Reduction = Callable[[Tensor, list[int], bool], Tensor]


def _reduce(function: Reduction, prepare: Callable[[Tensor], Tensor] = lambda x: x) -> Operator:
    """A Reduce operator: `prepare` is applied to every element, also when no axis is reduced."""

    def apply(node: Node, x: Tensor, given: Tensor | None = None) -> Tensor:
        axes = node.integers("axes") if given is None else as_ints(given)
        prepared = prepare(x)
        if not axes and node.integer("noop_with_empty_axes"):
            return function(prepared, [], True).to(x.dtype)
        axes = [axis % max(x.ndim, 1) for axis in axes] if axes else list(range(x.ndim))
        return function(prepared, axes, bool(node.integer("keepdims", 1))).to(x.dtype)

    return apply


def _sum(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    # PyTorch takes no axes for all axes.
    return x.sum(axes, keepdim=keep) if axes else x


def _mean(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    total = _sum(x, axes, keep)
    count = math.prod(x.shape[axis] for axis in axes)
    return total / count if x.is_floating_point() else torch.div(total, count, rounding_mode="trunc")


def _extreme(function: Callable[..., Tensor], *, largest: bool) -> Reduction:
    def apply(x: Tensor, axes: list[int], keep: bool) -> Tensor:
        if not axes:
            return x
        if any(x.shape[axis] == 0 for axis in axes):
            shape = [1 if axis in axes else size for axis, size in enumerate(x.shape)]
            empty = torch.full(shape, _identity(x.dtype, largest=largest), dtype=x.dtype, device=x.device)
            return empty if keep else empty.squeeze(axes)
        if x.dtype == torch.bool:
            return function(x.to(torch.uint8), axes, keepdim=keep).to(torch.bool)
        return function(x, axes, keepdim=keep)

    return apply


def _identity(dtype: torch.dtype, *, largest: bool) -> float | int | bool:
    """What the extreme of nothing is: the end of the dtype's range that loses against everything."""
    if dtype == torch.bool:
        return not largest
    if dtype.is_floating_point:
        return -math.inf if largest else math.inf
    limits = torch.iinfo(dtype)
    return limits.min if largest else limits.max


def _product(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    for axis in sorted(axes, reverse=True):
        x = x.prod(axis, keepdim=keep)
    return x


def _log_sum_exp(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    return torch.logsumexp(x, axes, keepdim=keep) if axes else x


def _arg(function: Callable[..., Tensor]) -> Operator:
    def apply(node: Node, x: Tensor) -> Tensor:
        axis, keep = node.integer("axis") % max(x.ndim, 1), bool(node.integer("keepdims", 1))
        if not node.integer("select_last_index"):
            return function(x, axis, keepdim=keep)
        return x.shape[axis] - 1 - function(x.flip(axis), axis, keepdim=keep)

    return apply


def _cumulative(function: Callable[..., Tensor], start: int) -> Operator:
    def apply(node: Node, x: Tensor, axis: Tensor) -> Tensor:
        along = as_ints(axis)[0] % max(x.ndim, 1)
        if node.integer("reverse"):
            x = x.flip(along)
        if node.integer("exclusive"):
            first = torch.full_like(x.narrow(along, 0, 1), start)
            x = torch.cat([first, x.narrow(along, 0, x.shape[along] - 1)], along)
        result = function(x, along).to(x.dtype)
        return result.flip(along) if node.integer("reverse") else result

    return apply


OPERATORS: dict[str, Operator] = {
    "ArgMax": _arg(torch.argmax),
    "ArgMin": _arg(torch.argmin),
    "CumProd": _cumulative(torch.cumprod, 1),
    "CumSum": _cumulative(torch.cumsum, 0),
    "ReduceL1": _reduce(_sum, torch.abs),
    "ReduceL2": _reduce(lambda x, axes, keep: _sum(x, axes, keep).sqrt(), torch.square),
    "ReduceLogSum": _reduce(lambda x, axes, keep: _sum(x, axes, keep).log()),
    "ReduceLogSumExp": _reduce(_log_sum_exp),
    "ReduceMax": _reduce(_extreme(torch.amax, largest=True)),
    "ReduceMean": _reduce(_mean),
    "ReduceMin": _reduce(_extreme(torch.amin, largest=False)),
    "ReduceProd": _reduce(_product),
    "ReduceSum": _reduce(_sum),
    "ReduceSumSquare": _reduce(_sum, torch.square),
}
