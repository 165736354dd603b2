"""Which rows may be which: the few possible pairs among all, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import numpy.typing as npt

from parity.artifacts import Array, dtype_name

from .alignment import Indices, Side
from .assignment import Costs

LIMIT = 1e6  # what an element costs at most, in multiples of its bound: a NaN, another label
_PAIRS = 1 << 23  # possible pairs that are kept: beyond, a bound tells nothing apart
_BLOCK = 1 << 19  # pairs that are looked at at a time
_SLACK = 1e-12  # relative: what a window is wider than its bound, for its own rounding

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


class TooAlike(Exception):
    """The bound is so wide that nearly any row could be any other."""


@dataclass(frozen=True)
class Classes:
    """Equal rows taken together: one row for each class, and the positions of its members."""

    rows: Rows
    reference: list[Indices]
    candidate: list[Indices]


@dataclass(frozen=True)
class Rows:
    """Rows of all tensors of a group, side by side: what has a difference, and what is equal or not.

    Args:
        reference: (n, columns) in float64.
        candidate: (m, columns).
        bound: (n, columns), of the reference's elements; negative where an element meets its equal alone.
        equal_nan: for each column.
        reference_key: (n,): a number for each combination of what must be equal.
        candidate_key: (m,).
    """

    reference: Floats
    candidate: Floats
    bound: Floats
    equal_nan: Mask
    reference_key: Indices
    candidate_key: Indices

    @property
    def width(self) -> int:
        """How many elements of a row can differ by degrees."""
        width: int = self.reference.shape[1]
        return width

    def fit(self, one: Indices, other: Indices) -> Mask:
        """(n, m): which of these rows may be which."""
        fits: Mask = self.reference_key[one][:, None] == self.candidate_key[other]
        for column in range(self.width):
            fits &= self._fit(
                column, self.reference[one, column][:, None], self.candidate[other, column], one[:, None]
            )
        return fits

    def fit_pairs(self, one: Indices, other: Indices) -> Mask:
        """The same of single pairs, whose keys are equal."""
        fits = np.ones(len(one), np.bool_)
        for column in range(self.width):
            fits &= self._fit(column, self.reference[one, column], self.candidate[other, column], one)
        return fits

    def cost(self, one: Indices, other: Indices) -> Costs:
        """(n, m): sum of |error| / bound over the elements, each at most `LIMIT`."""
        total = np.where(self.reference_key[one][:, None] == self.candidate_key[other], 0.0, LIMIT)
        for column in range(self.width):
            r, c = self.reference[one, column][:, None], self.candidate[other, column]
            with np.errstate(all="ignore"):
                part = np.abs(c - r) / np.maximum(self.bound[one, column], 0.0)[:, None]
            part[np.isnan(part) | (part > LIMIT)] = LIMIT
            part[self._same(column, r, c)] = 0.0
            total += part
        return total

    def _fit(self, column: int, r: Floats, c: Floats, one: Indices) -> Mask:
        with np.errstate(all="ignore"):
            near: Mask = np.abs(c - r) <= self.bound[one, column]
        return near | self._same(column, r, c)

    def _same(self, column: int, r: Floats, c: Floats) -> Mask:
        same: Mask = r == c
        return same | (np.isnan(r) & np.isnan(c)) if self.equal_nan[column] else same

    def classes(self) -> Classes:
        """Equal rows as one. A NaN is kept as it is: which of two it meets, its column says."""
        ours, theirs = (
            _members(self.reference, self.reference_key),
            _members(self.candidate, self.candidate_key),
        )
        first, first_other = (np.array([each[0] for each in found], np.intp) for found in (ours, theirs))
        rows = Rows(
            self.reference[first],
            self.candidate[first_other],
            self.bound[first],
            self.equal_nan,
            self.reference_key[first],
            self.candidate_key[first_other],
        )
        return Classes(rows, ours, theirs)


def with_rows(sides: Sequence[Side]) -> Rows:
    """The tensors of a group, ready to be matched."""
    n, m = len(sides[0].reference), len(sides[0].candidate)
    floats: list[tuple[Floats, Floats, Floats]] = []
    equal_nan: list[bool] = []
    keys = np.zeros((n + m, 1), np.intp)
    for side in sides:
        both = [each.reshape(len(each), prod(each.shape[1:])) for each in (side.reference, side.candidate)]
        if _is_discrete(side):
            if side.atol is not None:
                keys = np.column_stack((keys, _codes(np.concatenate(both))))
            continue
        r, c = (_wide(each) for each in both)
        with np.errstate(all="ignore"):
            bound = np.abs(r) * (side.rtol or 0.0) + (side.atol or 0.0)
        if side.atol is None:
            bound = np.full_like(r, np.inf)
        floats.append((r, c, np.where(np.isfinite(r), bound, -1.0)))
        equal_nan += [side.equal_nan] * r.shape[1]
    key = np.unique(keys, axis=0, return_inverse=True)[1].reshape(-1)
    r, c, bound = (
        np.concatenate([np.zeros((size, 0)), *(each[at] for each in floats)], axis=1)
        for at, size in ((0, n), (1, m), (2, n))
    )
    return Rows(r, c, bound, np.array(equal_nan, np.bool_), key[:n], key[n:])


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


def _members(values: Floats, key: Indices) -> list[Indices]:
    """Positions of equal rows, by the bits of their elements."""
    if not len(values):
        return []
    together = np.column_stack((values + 0.0, key.astype(np.float64)))  # -0 + 0 is +0
    bits = np.ascontiguousarray(together).view(np.dtype((np.void, together.shape[1] * 8))).reshape(-1)
    _, label = np.unique(bits, return_inverse=True)
    order = np.argsort(label, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(label[order])) + 1)


def _where(keys: Indices, key: int) -> Indices:
    return np.flatnonzero(keys == key)


def _is_discrete(side: Side) -> bool:
    """Whether elements are equal or not, and nothing between: strings, and whole numbers without a bound."""
    name = dtype_name(side.reference.dtype)
    whole = name == "bool" or "int" in name
    return name == "string" or (whole and not side.atol and not side.rtol)


def _codes(values: Array) -> Indices:
    """A number for each distinct element, in each column."""
    codes = [np.unique(values[:, at], return_inverse=True)[1].reshape(-1) for at in range(values.shape[1])]
    return np.column_stack([np.zeros(len(values), np.intp), *codes])


def _wide(values: Array) -> Floats:
    """In float64; complex numbers as two columns."""
    if values.dtype.kind == "c":
        return np.ascontiguousarray(values.astype(np.complex128)).view(np.float64)
    return values.astype(np.float64)
