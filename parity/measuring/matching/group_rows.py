"""The tensors of a group as rows: all that decides whether two of them may be the same, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import numpy.typing as npt

from parity.artifacts import Array, dtype_name

from .alignment import Indices, Side
from .assignment import Costs

LIMIT = 1e6  # what an element costs at most, in multiples of its bound: a NaN, another label

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


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


def _members(values: Floats, key: Indices) -> list[Indices]:
    """Positions of equal rows, by the bits of their elements."""
    if not len(values):
        return []
    together = np.column_stack((values + 0.0, key.astype(np.float64)))  # -0 + 0 is +0
    bits = np.ascontiguousarray(together).view(np.dtype((np.void, together.shape[1] * 8))).reshape(-1)
    _, label = np.unique(bits, return_inverse=True)
    order = np.argsort(label, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(label[order])) + 1)


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
