"""The geometry that convolutions and pools share: strides, dilations, padding, output sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch.nn import functional

from parity.diagnosis.onnx64.program import Node
from parity.diagnosis.onnx64.values import Tensor


@dataclass(frozen=True, slots=True)
class Window:
    """A window that slides over the spatial axes; one number for each of them.

    Args:
        before, after: how far the input is padded at its start and end. Never negative by itself; ONNX
            allows it, and the input is then cropped.
    """

    kernel: list[int]
    strides: list[int]
    dilations: list[int]
    before: list[int]
    after: list[int]

    @property
    def span(self) -> list[int]:
        """How many elements of the input the window covers, gaps included."""
        return [(k - 1) * d + 1 for k, d in zip(self.kernel, self.dilations, strict=True)]


def window(node: Node, sizes: Sequence[int], kernel: Sequence[int]) -> Window:
    """The window of a node over an input of the given spatial sizes.

    Raises:
        ValueError: the attributes don't fit the number of spatial axes.
    """
    axes = len(sizes)
    strides = node.integers("strides") or [1] * axes
    dilations = node.integers("dilations") or [1] * axes
    pads = node.integers("pads") or [0] * (2 * axes)
    if not len(strides) == len(dilations) == len(kernel) == len(pads) / 2 == axes:
        raise ValueError(f"strides, dilations, kernel and pads do not fit {axes} spatial axes")
    found = Window(list(kernel), strides, dilations, pads[:axes], pads[axes:])
    match node.text("auto_pad", "NOTSET"):
        case "NOTSET" | "":
            return found
        case "VALID":
            return Window(found.kernel, strides, dilations, [0] * axes, [0] * axes)
        case "SAME_UPPER" | "SAME_LOWER" as mode:
            return _same(found, sizes, upper=mode == "SAME_UPPER")
        case other:
            raise ValueError(f"auto_pad is {other!r}")


def _same(found: Window, sizes: Sequence[int], *, upper: bool) -> Window:
    """Padded so that the output has ceil(size / stride) elements; the odd one goes to the end if `upper`."""
    less: list[int] = []
    more: list[int] = []
    for size, stride, span in zip(sizes, found.strides, found.span, strict=True):
        total = max((-(-size // stride) - 1) * stride + span - size, 0)
        less.append(total // 2)
        more.append(total - total // 2)
    before, after = (less, more) if upper else (more, less)
    return Window(found.kernel, found.strides, found.dilations, before, after)


def padded(x: Tensor, before: Sequence[int], after: Sequence[int], value: float = 0.0) -> Tensor:
    """The input with its last axes padded by a constant, or cropped where a pad is negative."""
    if not any(before) and not any(after):
        return x
    # PyTorch counts from the last axis.
    pads = [pad for pair in zip(reversed(before), reversed(after), strict=True) for pad in pair]
    return functional.pad(x, pads, value=value)


def pooled_sizes(found: Window, sizes: Sequence[int], *, ceil: bool) -> list[int]:
    """Spatial sizes of a pool's output.

    With `ceil`, a last window that is not whole counts if it starts in the input or the padding before it.
    """
    result = []
    for size, before, after, stride, span in zip(
        sizes, found.before, found.after, found.strides, found.span, strict=True
    ):
        free = size + before + after - span
        count = (-(-free // stride) if ceil else free // stride) + 1
        if ceil and (count - 1) * stride >= size + before:
            count -= 1
        result.append(count)
    return result
