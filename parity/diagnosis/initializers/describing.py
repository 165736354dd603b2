"""How a tensor of the file differs from what it should be, in one short clause."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from parity.artifacts import Array

from .differences import RELATIVE, Pair, distinct, number, ratio, scale_of, tolerance
from .rearranging import find_order, rearranged
from .rounding import rounded_to


@dataclass(frozen=True)
class Description:
    """What is wrong with a tensor.

    Args:
        kind: what a cause of this would be: a value, how coarsely it is kept, or that it is not a number.
        message: a clause that goes on from the tensor's name, or stands alone: ``is 1.5 times the expected``.
    """

    kind: Literal["initializer", "precision", "nan"]
    message: str


def describe(found: Array, expected: Array, *, gates: int = 0) -> Description:
    """How two tensors differ; the simplest description that holds for every element.

    Args:
        found: of the file, any shape and floating dtype.
        expected: of the same size; otherwise only the shapes are compared.
        gates: of a recurrent layer: axis 1 has this many blocks, in the order of the gates.
    """
    if found.size != expected.size:
        return _wrong(f"has shape {list(found.shape)}, should be {list(expected.shape)}")
    if found.shape != expected.shape:
        return _describe_layout(found, expected)
    pair = Pair(found.astype(np.float64), expected.astype(np.float64), gates)
    if pair.nonfinite.any():
        return Description("nan", _nonfinite(pair))
    if not np.isfinite(pair.expected).all():  # the same in both, as in a mask
        odd = ~np.isfinite(pair.expected)
        pair = Pair(np.where(odd, 0.0, pair.found), np.where(odd, 0.0, pair.expected), gates)
    narrow = rounded_to(pair.found, pair.expected)
    if pair.differs.any() and narrow:
        return Description("precision", f"is rounded to {narrow}")
    return _wrong(next(message for explain in _EXPLANATIONS if (message := explain(pair))))


def _wrong(message: str) -> Description:
    return Description("initializer", message)


def _describe_layout(found: Array, expected: Array) -> Description:
    """Tensors of one size and different shapes."""
    for axes in rearranged(found.shape, expected.shape):
        pair = Pair(found.astype(np.float64), expected.transpose(axes).astype(np.float64))
        if not pair.nonfinite.any() and not pair.differs.any():
            return _wrong("is transposed")
    shapes = f"has shape {list(found.shape)}, should be {list(expected.shape)}"
    inner = describe(found.reshape(expected.shape), expected)
    return inner if inner.message == _SAME else Description(inner.kind, f"{shapes}, and {inner.message}")


_SAME = "is the same but for its shape"


def _nonfinite(pair: Pair) -> str:
    where = pair.nonfinite
    count = int(where.sum())
    index = _first(where)
    names = [
        name
        for name, test in (("NaN", np.isnan(pair.found)), ("infinite", np.isinf(pair.found)))
        if (test & where).any()
    ]
    what = " or ".join(names) or "finite and should not be"
    if count == 1:
        return f"one element is {what}: {list(index)}, should be {number(pair.expected[index])}"
    return f"{count:,} elements are {what}, the first at {list(index)}"


def _same(pair: Pair) -> str | None:
    return None if pair.differs.any() else _SAME


def _constant(pair: Pair) -> str | None:
    """All zeros, or any other single value, where the expected has several."""
    value = float(pair.found.flat[0])
    if pair.found.size == 1 or not np.all(pair.found == value):
        return None
    spread = f"{number(pair.expected.min())} to {number(pair.expected.max())}"
    what = "all zeros" if value == 0 else f"{number(value)} everywhere"
    if np.ptp(pair.expected) == 0:
        return f"is {what}, should be {number(pair.expected.flat[0])}"
    return f"is {what}, should be {spread}"


def _scaled(pair: Pair) -> str | None:
    factor = scale_of(pair.found, pair.expected)
    if factor is None or pair.found.size == 1:
        return None
    return "has the opposite sign" if abs(factor + 1) < RELATIVE else f"is {ratio(factor)} the expected"


def _shifted(pair: Pair) -> str | None:
    """One number is added to all."""
    shift = float(pair.difference.mean())
    fits = np.abs(pair.difference - shift) <= 2 * tolerance(pair.expected)
    if pair.found.size < 3 or not fits.all():
        return None
    return f"is {number(abs(shift))} too {'large' if shift > 0 else 'small'} everywhere"


def _reordered(pair: Pair) -> str | None:
    return find_order(pair.found, pair.expected, pair.differs, 2 * tolerance(pair.expected), pair.gates)


def _elements(pair: Pair) -> str | None:
    """A few single elements differ."""
    count = int(pair.differs.sum())
    if count > 3 or (count > 1 and count > pair.found.size // 4):
        return None
    index = _first(pair.differs)
    found, expected = distinct(pair.found[index], pair.expected[index])
    where = f"{list(index)} is {found}, should be {expected}"
    if count == 1:
        return f"one element of {pair.found.size:,} differs: {where}"
    return f"{count} elements of {pair.found.size:,} differ: {where}"


def _channels(pair: Pair) -> str | None:
    """Whole slices along one axis differ, the others do not."""
    ndim, differs = pair.found.ndim, pair.differs
    by_axis = [
        np.asarray(differs.any(axis=tuple(i for i in range(ndim) if i != axis))) for axis in range(ndim)
    ]
    axis = min(range(ndim), key=lambda i: float(by_axis[i].mean()), default=-1)
    if axis < 0 or by_axis[axis].all():
        return None
    lines = by_axis[axis]
    which, count = np.flatnonzero(lines), int(lines.sum())
    what = "element" if ndim == 1 else "channel"
    of_axis = f" of axis {axis}" if axis > 0 else ""
    found, expected = (np.take(each, which, axis) for each in (pair.found, pair.expected))
    if not found.any():
        how = "all zeros" if ndim > 1 else "zero"
    elif (factor := scale_of(found, expected)) is not None:
        how = f"{ratio(factor)} the expected"
    else:
        greatest = f"by up to {number(np.abs(pair.difference).max())}"
        if count == 1:
            return f"{what} {which[0]}{of_axis} differs, {greatest}"
        return f"{count} of {len(lines)} {what}s{of_axis} differ, {greatest}"
    if count == 1:
        return f"{what} {which[0]}{of_axis} is {how}"
    return f"{count} of {len(lines)} {what}s{of_axis} are {how}"


def _everywhere(pair: Pair) -> str:
    """Nothing simple: how much of it differs, and whether anything of the expected is left."""
    rms, size = (float(np.sqrt(np.mean(np.square(each)))) for each in (pair.difference, pair.expected))
    extent = "everywhere" if pair.differs.mean() > 0.5 else f"in {int(pair.differs.sum()):,} elements"
    if rms < 0.3 * size:
        return f"differs {extent} by {number(100 * rms / size)} % (rms): another training step?"
    return f"differs {extent} (rms {number(rms)} of {number(size)}): other training?"


def _first(where: npt.NDArray[np.bool_]) -> tuple[int, ...]:
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(where)), where.shape))


_EXPLANATIONS: tuple[Callable[[Pair], str | None], ...] = (
    _same,
    _constant,
    _scaled,
    _shifted,
    _reordered,
    _elements,
    _channels,
    _everywhere,
)
