"""Operators that rearrange, repeat or describe a tensor without computing on its elements."""

from __future__ import annotations

import math
from itertools import accumulate, pairwise

import numpy as np
import torch

from parity.diagnosis.onnx64.operators.elementwise import Operator
from parity.diagnosis.onnx64.program import Node
from parity.diagnosis.onnx64.values import Tensor, as_ints


def _axes(node: Node, given: Tensor | None) -> list[int] | None:
    """Axes are an attribute in old operator sets and an input in new ones."""
    return node.integers("axes") if given is None else as_ints(given)


def _reshape(node: Node, x: Tensor, given: Tensor | None = None) -> Tensor:
    wanted = node.integers("shape") or [] if given is None else as_ints(given)
    if not node.integer("allowzero"):
        wanted = [x.shape[axis] if size == 0 else size for axis, size in enumerate(wanted)]
    if -1 in wanted and x.numel() == 0:
        known = math.prod(size for size in wanted if size != -1)
        wanted = [0 if size == -1 and known else size for size in wanted]
    return x.reshape(wanted)


def _flatten(node: Node, x: Tensor) -> Tensor:
    axis = node.integer("axis", 1)
    axis = axis + x.ndim if axis < 0 else axis
    return x.reshape(math.prod(x.shape[:axis]), math.prod(x.shape[axis:]))


def _squeeze(node: Node, x: Tensor, given: Tensor | None = None) -> Tensor:
    axes = _axes(node, given)
    if axes is None:
        return x.squeeze()
    gone = {axis % x.ndim for axis in axes}
    if any(x.shape[axis] != 1 for axis in gone):
        raise ValueError(f"axes {axes} of the shape {list(x.shape)} can't be squeezed: not all are 1")
    return x.reshape([size for axis, size in enumerate(x.shape) if axis not in gone])


def _unsqueeze(node: Node, x: Tensor, given: Tensor | None = None) -> Tensor:
    axes = _axes(node, given) or []
    rank = x.ndim + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        x = x.unsqueeze(axis)
    return x


def _transpose(node: Node, x: Tensor) -> Tensor:
    return x.permute(node.integers("perm") or list(reversed(range(x.ndim))))


def _concat(node: Node, *inputs: Tensor) -> Tensor:
    return torch.cat(inputs, node.integer("axis", 1))


def split_sizes(node: Node, total: int, given: Tensor | None) -> list[int]:
    """How many elements each output of a Split has.

    Raises:
        ValueError: they don't add up to `total`.
    """
    sizes = node.integers("split") if given is None else as_ints(given)
    if sizes is None:
        count = node.integer("num_outputs", len(node.outputs))
        whole = -(-total // count)  # the last one is smaller if it does not divide
        sizes = [min(whole, max(total - whole * index, 0)) for index in range(count)]
    if sum(sizes) != total:
        raise ValueError(f"{total} elements can't be split into {sizes}")
    return sizes


def _split(node: Node, x: Tensor, given: Tensor | None = None) -> tuple[Tensor, ...]:
    axis = node.integer("axis") % x.ndim
    bounds = list(accumulate(split_sizes(node, x.shape[axis], given), initial=0))
    return tuple(x.narrow(axis, start, stop - start) for start, stop in pairwise(bounds))


def _expand(_node: Node, x: Tensor, shape: Tensor) -> Tensor:
    # Both ways: a 1 in the shape keeps the input's size.
    return x.expand(np.broadcast_shapes(x.shape, tuple(as_ints(shape))))


def _tile(node: Node, x: Tensor, repeats: Tensor, axis: Tensor | None = None) -> Tensor:
    if node.version >= 6 or axis is None:
        return x.repeat(as_ints(repeats))
    counts = [1] * x.ndim
    counts[as_ints(axis)[0]] = as_ints(repeats)[0]
    return x.repeat(counts)


def _depth_to_space(node: Node, x: Tensor) -> Tensor:
    block = node.integer("blocksize")
    n, c, h, w = x.shape
    if node.text("mode", "DCR") == "CRD":
        blocks = x.reshape(n, c // block**2, block, block, h, w).permute(0, 1, 4, 2, 5, 3)
    else:
        blocks = x.reshape(n, block, block, c // block**2, h, w).permute(0, 3, 4, 1, 5, 2)
    return blocks.reshape(n, c // block**2, h * block, w * block)


def _space_to_depth(node: Node, x: Tensor) -> Tensor:
    block = node.integer("blocksize")
    n, c, h, w = x.shape
    blocks = x.reshape(n, c, h // block, block, w // block, block)
    order = (0, 1, 3, 5, 2, 4) if node.text("mode", "DCR") == "CRD" else (0, 3, 5, 1, 2, 4)
    return blocks.permute(order).reshape(n, c * block**2, h // block, w // block)


def _trilu(node: Node, x: Tensor, k: Tensor | None = None) -> Tensor:
    diagonal = 0 if k is None else as_ints(k)[0]
    return torch.triu(x, diagonal) if node.integer("upper", 1) else torch.tril(x, diagonal)


def _pad(
    node: Node, x: Tensor, pads: Tensor | None = None, value: Tensor | None = None, axes: Tensor | None = None
) -> Tensor:
    widths = (node.integers("pads") or node.integers("paddings") or []) if pads is None else as_ints(pads)
    along = list(range(x.ndim)) if axes is None else [axis % x.ndim for axis in as_ints(axes)]
    fill = node.number("value") if value is None else value.reshape(-1)[0].item() if value.numel() else 0
    mode = node.text("mode", "constant")
    for axis, before, after in zip(along, widths[: len(along)], widths[len(along) :], strict=True):
        # A negative width crops.
        x = x.narrow(axis, max(-before, 0), x.shape[axis] + min(before, 0) + min(after, 0))
        if before > 0 or after > 0:
            x = _padded_axis(x, axis, max(before, 0), max(after, 0), mode, fill)
    return x


def _padded_axis(x: Tensor, axis: int, before: int, after: int, mode: str, fill: float) -> Tensor:
    size = x.shape[axis]
    if mode == "constant":
        ends = [x.new_full((*x.shape[:axis], count, *x.shape[axis + 1 :]), fill) for count in (before, after)]
        return torch.cat([ends[0], x, ends[1]], axis)
    index = torch.arange(-before, size + after, device=x.device)
    if mode == "edge":
        index = index.clamp(0, size - 1)
    elif mode == "wrap":
        index = index % size
    elif mode == "reflect":
        period = max(2 * (size - 1), 1)
        index = index % period
        index = torch.where(index >= size, period - index, index)
    else:
        raise ValueError(f"the padding mode is {mode!r}")
    return x.index_select(axis, index)


def _reverse_sequence(node: Node, x: Tensor, lengths: Tensor) -> Tensor:
    time, batch = node.integer("time_axis"), node.integer("batch_axis", 1)
    steps = torch.arange(x.shape[time], device=x.device)
    order = torch.where(steps[None] < lengths[:, None], lengths[:, None] - 1 - steps[None], steps[None])
    shape = [1] * x.ndim
    shape[time], shape[batch] = x.shape[time], x.shape[batch]
    order = (order if batch < time else order.T).reshape(shape)
    return x.gather(time, order.expand(x.shape))


OPERATORS: dict[str, Operator] = {
    "Concat": _concat,
    "DepthToSpace": _depth_to_space,
    "Expand": _expand,
    "Flatten": _flatten,
    "Pad": _pad,
    "Reshape": _reshape,
    "ReverseSequence": _reverse_sequence,
    "SpaceToDepth": _space_to_depth,
    "Split": _split,
    "Squeeze": _squeeze,
    "Tile": _tile,
    "Transpose": _transpose,
    "Trilu": _trilu,
    "Unsqueeze": _unsqueeze,
}
