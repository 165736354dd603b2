"""Operators that pick elements out of a tensor, or put them into one."""

from __future__ import annotations

from collections.abc import Callable

import torch

from parity.diagnosis.onnx64.operators.elementwise import Operator
from parity.diagnosis.onnx64.program import Node
from parity.diagnosis.onnx64.values import Tensor, as_ints


def _positive(indices: Tensor, size: int) -> Tensor:
    """Indices counted from the start; negative ones count from the end.

    Raises:
        IndexError: one is out of range. PyTorch on a GPU would end the whole process.
    """
    indices = indices.long()
    if indices.numel() and not bool(((indices >= -size) & (indices < size)).all()):
        raise IndexError(f"an index is out of range for an axis of {size} elements")
    return torch.where(indices < 0, indices + size, indices)


def _gather(node: Node, x: Tensor, indices: Tensor) -> Tensor:
    axis = node.integer("axis") % x.ndim
    picked = x.index_select(axis, _positive(indices, x.shape[axis]).reshape(-1))
    return picked.reshape((*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]))


def _gather_elements(node: Node, x: Tensor, indices: Tensor) -> Tensor:
    axis = node.integer("axis") % x.ndim
    return x.gather(axis, _positive(indices, x.shape[axis]))


def _gather_nd(node: Node, x: Tensor, indices: Tensor) -> Tensor:
    batch = node.integer("batch_dims")
    depth = indices.shape[-1]
    places = [_positive(indices[..., k], x.shape[batch + k]) for k in range(depth)]
    # The batch axes are indexed by themselves.
    ahead: list[Tensor] = []
    for axis in range(batch):
        shape = [1] * (indices.ndim - 1)
        shape[axis] = x.shape[axis]
        ahead.append(torch.arange(x.shape[axis], device=x.device).reshape(shape))
    return x[(*ahead, *places)]


_SCATTER_REDUCTIONS = {"add": "sum", "mul": "prod", "max": "amax", "min": "amin"}


def _scatter_elements(node: Node, x: Tensor, indices: Tensor, updates: Tensor) -> Tensor:
    axis = node.integer("axis") % x.ndim
    places = _positive(indices, x.shape[axis])
    reduction = node.text("reduction", "none")
    if reduction == "none":
        return x.scatter(axis, places, updates)
    return x.scatter_reduce(axis, places, updates, _SCATTER_REDUCTIONS[reduction])


def _scatter_nd(node: Node, x: Tensor, indices: Tensor, updates: Tensor) -> Tensor:
    """Every index names a slice of x; slices are scattered along one flat axis."""
    depth = indices.shape[-1]
    outer, inner = x.shape[:depth], x.shape[depth:]
    flat = torch.zeros(indices.shape[:-1], dtype=torch.int64, device=x.device)
    for axis, size in enumerate(outer):
        flat = flat * size + _positive(indices[..., axis], size)
    rows = x.reshape(outer.numel(), inner.numel())
    news = updates.reshape(-1, inner.numel())
    places = flat.reshape(-1)
    reduction = node.text("reduction", "none")
    if reduction == "none":
        return rows.index_copy(0, places, news).reshape(x.shape)
    return rows.scatter_reduce(
        0, places[:, None].expand_as(news), news, _SCATTER_REDUCTIONS[reduction]
    ).reshape(x.shape)


def _span(size: int, start: int, end: int, step: int) -> range:
    """The indices that a slice takes: Python's, but backwards a start before the first element is the first.

    Raises:
        ValueError: the step is 0.
    """
    if step < 0:
        start = max(start, -size)
    return range(size)[slice(start, end, step)]


def _slice(
    node: Node,
    x: Tensor,
    starts: Tensor | None = None,
    ends: Tensor | None = None,
    axes: Tensor | None = None,
    steps: Tensor | None = None,
) -> Tensor:
    first = (node.integers("starts") or []) if starts is None else as_ints(starts)
    last = (node.integers("ends") or []) if ends is None else as_ints(ends)
    along = node.integers("axes") if axes is None else as_ints(axes)
    stride = [1] * len(first) if steps is None else as_ints(steps)
    for axis, start, end, step in zip(along or range(len(first)), first, last, stride, strict=True):
        chosen = _span(x.shape[axis], start, end, step)
        if step > 0:
            x = x[(slice(None),) * (axis % x.ndim) + (slice(chosen.start, chosen.stop, step),)]
        else:
            x = x.index_select(axis, torch.tensor(list(chosen), dtype=torch.int64, device=x.device))
    return x


def _compress(node: Node, x: Tensor, condition: Tensor) -> Tensor:
    axis = node.attributes.get("axis")
    if axis is None:
        x, axis = x.reshape(-1), 0
    chosen = condition.reshape(-1)[: x.shape[axis]].nonzero().reshape(-1)
    return x.index_select(axis, chosen)


def _non_zero(_node: Node, x: Tensor) -> Tensor:
    return x.nonzero().T


def _one_hot(node: Node, indices: Tensor, depth: Tensor, values: Tensor) -> Tensor:
    count = int(depth.reshape(-1)[0].item())
    axis = node.integer("axis", -1) % (indices.ndim + 1)
    whole = indices.long().unsqueeze(axis)
    whole = torch.where(whole < 0, whole + count, whole)  # out of range: no hot element at all
    shape = [1] * (indices.ndim + 1)
    shape[axis] = count
    hot = whole == torch.arange(count, device=whole.device).reshape(shape)
    return torch.where(hot, values[1], values[0])


def _top_k(node: Node, x: Tensor, k: Tensor | None = None) -> tuple[Tensor, Tensor]:
    count = node.integer("k") if k is None else as_ints(k)[0]
    axis = node.integer("axis", -1) % max(x.ndim, 1)
    if not 0 <= count <= x.shape[axis]:
        raise ValueError(f"the {count} largest of {x.shape[axis]} elements are wanted")
    # Stable: among equals the lower index comes first, as the specification has it.
    values, indices = torch.sort(x, dim=axis, descending=bool(node.integer("largest", 1)), stable=True)
    return values.narrow(axis, 0, count), indices.narrow(axis, 0, count)


def _grid_sample(node: Node, x: Tensor, grid: Tensor) -> Tensor:
    # Renamed in operator set 20.
    mode = {"linear": "bilinear", "cubic": "bicubic"}.get(given := node.text("mode", "linear"), given)
    sample: Callable[..., Tensor] = torch.nn.functional.grid_sample
    return sample(
        x, grid, mode, node.text("padding_mode", "zeros"), align_corners=bool(node.integer("align_corners"))
    )


OPERATORS: dict[str, Operator] = {
    "Compress": _compress,
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "GatherND": _gather_nd,
    "GridSample": _grid_sample,
    "NonZero": _non_zero,
    "OneHot": _one_hot,
    "Scatter": _scatter_elements,
    "ScatterElements": _scatter_elements,
    "ScatterND": _scatter_nd,
    "Slice": _slice,
    "TopK": _top_k,
}
