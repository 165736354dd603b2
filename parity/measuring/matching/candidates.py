"""Which rows may be which: the few possible pairs among all, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .alignment import Indices
from .group_rows import Floats, Rows

_PAIRS = 1 << 23  # possible pairs that are kept: beyond, a bound tells nothing apart
_BLOCK = 1 << 19  # pairs that are looked at at a time
_SLACK = 1e-12  # relative: what a window is wider than its bound, for its own rounding


class TooAlike(Exception):
    """The bound is so wide that nearly any row could be any other."""


def possible_pairs(rows: Rows) -> tuple[Indices, Indices]:
    """Every pair that may be one, as positions on both sides.

    Raises:
        TooAlike: there are more than 2^23.
    """
    found: list[tuple[Indices, Indices]] = []
    count = 0
    for one, other in _near(rows):
        fits = rows.fit_pairs(one, other)
        found.append((one[fits], other[fits]))
        count += int(np.count_nonzero(fits))
        if count > _PAIRS:
            raise TooAlike
    none = np.zeros(0, np.intp)
    return np.concatenate([none, *(pair[0] for pair in found)]), np.concatenate(
        [none, *(pair[1] for pair in found)]
    )


def _near(rows: Rows) -> Iterator[tuple[Indices, Indices]]:
    """Pairs of one key that are near in the column that tells most, in blocks."""
    by_key = {key: _where(rows.candidate_key, key) for key in np.unique(rows.candidate_key).tolist()}
    for key in np.unique(rows.reference_key).tolist():
        theirs = by_key.get(key)
        if theirs is None:
            continue
        ours = _where(rows.reference_key, key)
        low, high = np.zeros(ours.size, np.intp), np.full(ours.size, theirs.size, np.intp)
        if rows.width:
            column = _telling(rows, ours)
            theirs = theirs[np.argsort(rows.candidate[theirs, column], kind="stable")]
            low, high = _window(rows, column, ours, rows.candidate[theirs, column])
        yield from _blocks(ours, theirs, low, high)


def _blocks(ours: Indices, theirs: Indices, low: Indices, high: Indices) -> Iterator[tuple[Indices, Indices]]:
    """All pairs of `ours[i]` with `theirs[low[i]:high[i]]`; a long range alone may exceed a block."""
    sizes = np.maximum(high - low, 0)
    ends = np.cumsum(sizes)
    start = 0
    while start < ours.size:
        begun = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, begun + _BLOCK, side="right")))
        part = sizes[start:stop]
        one = np.repeat(np.arange(start, stop), part)
        within = np.arange(one.size) - np.repeat(np.cumsum(part) - part, part)
        yield ours[one], theirs[low[one] + within]
        start = stop


def _window(rows: Rows, column: int, ours: Indices, ordered: Floats) -> tuple[Indices, Indices]:
    """Where in the ordered column lies what may be each element. NumPy sorts, and finds, a NaN last."""
    r, bound = rows.reference[ours, column], np.maximum(rows.bound[ours, column], 0.0)
    with np.errstate(all="ignore"):
        reach = np.where(np.isfinite(r), bound + _SLACK * (np.abs(r) + bound), 0.0)
        least, most = r - reach, r + reach
    return np.searchsorted(ordered, least, "left"), np.searchsorted(ordered, most, "right")


def _telling(rows: Rows, ours: Indices) -> int:
    """The column in which a bound leaves fewest rows, as far as a sample tells."""
    sample = ours[:: max(1, ours.size // 512)]
    with np.errstate(all="ignore"):
        values, bound = rows.reference[sample], np.maximum(rows.bound[sample], 0.0)
        ordered = np.sort(values, axis=0)
        shares = [
            np.mean(
                np.searchsorted(ordered[:, at], values[:, at] + bound[:, at], "right")
                - np.searchsorted(ordered[:, at], values[:, at] - bound[:, at], "left")
            )
            for at in range(rows.width)
        ]
    return int(np.argmin(shares))


def _where(keys: Indices, key: int) -> Indices:
    return np.flatnonzero(keys == key)
