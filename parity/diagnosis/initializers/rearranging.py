"""Whether a tensor is another one with its axes, channels or blocks in another order."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def rearranged(shape: tuple[int, ...], of: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """The orders of axes, but the identity, that give an array of shape `of` this shape; up to 5 axes."""
    if len(shape) != len(of) or len(of) > 5:
        return
    identity = tuple(range(len(of)))
    for axes in permutations(identity):
        if axes != identity and tuple(of[axis] for axis in axes) == shape:
            yield axes


def find_order(
    found: Floats, expected: Floats, differs: npt.NDArray[np.bool_], tolerance: Floats, gates: int = 0
) -> str | None:
    """How `found` is `expected` in another order; None when it is not.

    Args:
        found: of the file.
        expected: of the same shape, as all others.
        differs: which elements are not the expected ones; at least one.
        tolerance: by element of `expected`.
        gates: axis 1 has this many blocks, in the order of the gates.
    """
    # The same elements in any order have the same sum and extremes: a cheap answer for most.
    slack = float(tolerance.max())
    if abs(found.max() - expected.max()) > slack or abs(found.min() - expected.min()) > slack:
        return None
    for axis in range(found.ndim):
        order = _order_along(axis, found, expected, differs, tolerance)
        if order is not None:
            return _say(order, axis, found.ndim, gates if axis == 1 else 0)
    for axes in rearranged(found.shape, expected.shape):
        if np.all(np.abs(found - expected.transpose(axes)) <= tolerance.transpose(axes)):
            return "is transposed"
    return None


def _order_along(
    axis: int, found: Floats, expected: Floats, differs: npt.NDArray[np.bool_], tolerance: Floats
) -> list[int] | None:
    """`order` with found[i] == expected[order[i]] along an axis; rows are paired by a random projection."""
    length = found.shape[axis]
    other = tuple(i for i in range(found.ndim) if i != axis)
    moved = np.flatnonzero(differs.any(axis=other))
    if length < 2 or len(moved) < 2:
        return None
    rows = [np.moveaxis(each, axis, 0).reshape(length, -1) for each in (found, expected, tolerance)]
    direction = np.random.default_rng(0).standard_normal(rows[0].shape[1])
    keys = [each[moved] @ direction for each in rows[:2]]
    to, source = (moved[np.argsort(key, kind="stable")] for key in keys)
    if not np.all(np.abs(rows[0][to] - rows[1][source]) <= rows[2][source]):
        return None
    order = np.arange(length)
    order[to] = source
    return [int(i) for i in order]


def _say(order: list[int], axis: int, ndim: int, gates: int) -> str:
    what = "elements" if ndim == 1 else "channels"
    of_axis = f" of axis {axis}" if axis > 0 else ""
    moved = [i for i, source in enumerate(order) if i != source]
    if len(moved) == 2:
        return f"{what} {moved[0]} and {moved[1]}{of_axis} are swapped"
    if gates and (blocks := _blocks(order, gates)):
        return f"gates are in another order: {blocks}"
    if order == list(range(len(order)))[::-1]:
        return f"is flipped along axis {axis}"
    for count in (2, 3, 4, 6, 8):
        if blocks := _blocks(order, count):
            # Recurrent layers have 3 or 4 gates along axis 1.
            perhaps = " (gates?)" if count in (3, 4) and axis <= 1 else ""
            return f"the {count} blocks{of_axis} are in another order: {blocks}{perhaps}"
    return f"{len(moved)} of {len(order)} {what}{of_axis} are in another order"


def _blocks(order: list[int], count: int) -> str:
    """The order of `count` equal blocks, if whole blocks of several have moved; otherwise empty."""
    if len(order) % count or len(order) // count < 2:
        return ""
    size = len(order) // count
    starts = order[::size]
    whole = all(order[i * size : (i + 1) * size] == list(range(s, s + size)) for i, s in enumerate(starts))
    return ", ".join(str(start // size) for start in starts) if whole else ""
