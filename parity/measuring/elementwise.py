"""The one pass over both tensors that every default statistic comes from.

The usual chunk, all finite and of ordinary magnitude, takes some fifteen vector operations in two buffers.
Any other goes the careful way: what is not finite is counted and set aside, and the rest is scaled so that
neither a difference nor a square leaves the range of float64.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal

import numpy as np

from parity.artifacts import Array

from .bounds import Bound
from .streaming import chunks, window
from .tally import NO_PEAK, Peak, Sums, Tally
from .widening import Family, Floats, difference, family_of, parts, wide_dtype, widen

GREATEST = float(np.finfo(np.float64).max)
# Between these, a sum of squares has neither overflowed nor lost anything that matters to underflow.
_ORDINARY = (1e-280, 1e280)
_HUGE, _UNIT = 2.0**1000, 4.0  # a quarter of any number has a finite difference and magnitude


@dataclass
class BlockTally:
    """Tallies one block of two tensors of one shape and dtype; used by one thread."""

    reference: Array
    candidate: Array
    bound: Bound
    equal_nan: bool
    tally: Tally = field(default_factory=Tally)

    def over(self, start: int, stop: int) -> Tally:
        """The tally of the elements from start to stop, in C order."""
        family = family_of(self.candidate.dtype)
        spans = chunks(start, stop)
        length = spans[0][1] - start
        buffers = (np.empty(length, wide_dtype(family)), np.empty(length, wide_dtype(family)))
        with np.errstate(all="ignore"):
            for at, end in spans:
                self._chunk(at, end, family, buffers)
        return self.tally

    def _chunk(self, at: int, end: int, family: Family, buffers: tuple[Array, Array]) -> None:
        reference, candidate = window(self.reference, at, end), window(self.candidate, at, end)
        r = widen(reference, family, buffers[0][: end - at])
        c = widen(candidate, family, buffers[1][: end - at])
        rr, cc, rc = _dot(r, r), _dot(c, c), _dot(r, c)
        ordinary = _ordinary(rr, r) and _ordinary(cc, c)
        d = difference(reference, candidate, family, (r, c))
        dd = _dot(d, d)
        if not (ordinary and _ordinary(dd, d)):
            self._careful_chunk(reference, candidate, at, family)
            return
        error, magnitude = _absolute(d), _absolute(r)
        sums = Sums(Decimal(rr), Decimal(cc), Decimal(rc), Decimal(dd), Decimal(float(error.sum())))
        self._add(error, magnitude, sums, lambda index: at + index)

    def _careful_chunk(self, reference: Array, candidate: Array, at: int, family: Family) -> None:
        empty = np.empty(len(reference), wide_dtype(family))
        r, c = widen(reference, family, empty), widen(candidate, family, np.empty_like(empty))
        finite = np.isfinite(r) & np.isfinite(c)
        self._count_nonfinite(r, c, finite, at)
        huge = finite & ~_all_parts((np.abs(parts(r)) < _HUGE) & (np.abs(parts(c)) < _HUGE), r)
        for positions, unit in ((np.flatnonzero(finite & ~huge), 1.0), (np.flatnonzero(huge), _UNIT)):
            if positions.size:
                self._add_scaled(r[positions], c[positions], at + positions, unit)

    def _add_scaled(self, r: Array, c: Array, positions: Array, unit: float) -> None:
        d = c / unit - r / unit
        error, magnitude = np.abs(d), np.abs(r / unit)
        sums = Sums(
            scaled_dot(r, r),
            scaled_dot(c, c),
            scaled_dot(r, c),
            scaled_dot(d, d) * Decimal(unit) ** 2,
            scaled_dot(error, np.ones_like(error)) * Decimal(unit),
        )
        self._add(error, magnitude, sums, lambda index: int(positions[index]), unit)

    def _count_nonfinite(self, r: Array, c: Array, finite: Array, at: int) -> None:
        met = _same_value(r, c)
        if self.equal_nan:
            met |= _same_nan(r, c)
        unmet = ~(finite | met)
        counts = self.tally.nonfinite
        counts.reference_nan += int(np.count_nonzero(np.isnan(r)))
        counts.candidate_nan += int(np.count_nonzero(np.isnan(c)))
        counts.reference_inf += int(np.count_nonzero(np.isinf(r) & ~np.isnan(r)))
        counts.candidate_inf += int(np.count_nonzero(np.isinf(c) & ~np.isnan(c)))
        counts.mismatched += int(np.count_nonzero(unmet))
        if self.tally.first_unmet < 0 and unmet.any():
            self.tally.first_unmet = at + int(unmet.argmax())

    def _add(
        self, error: Floats, magnitude: Floats, sums: Sums, locate: Callable[[int], int], unit: float = 1.0
    ) -> None:
        """Adds finite pairs.

        `error` |c - r| and `magnitude` |r| are in multiples of `unit`; both are overwritten.
        `locate` turns an index of theirs into a flat one.
        """
        greatest = float(error.max())
        reference_max_abs = min(float(magnitude.max()) * unit, GREATEST)
        chunk = Tally(compared=error.size, reference_max_abs=reference_max_abs, sums=sums)
        if greatest * unit > self.tally.largest.value:
            max_abs = min(greatest * unit, GREATEST)
            chunk.largest = Peak(max_abs, locate(int(error.argmax())), max_abs)
        bound = Bound(self.bound.atol / unit, self.bound.rtol)
        # Division rounds monotonically: no quotient of this chunk is above greatest / atol. Where even that
        # is neither a new peak nor beyond the bound, there is nothing to look for.
        if not (bound.atol > 0.0 and greatest / bound.atol <= min(self.tally.farthest.value, 1.0)):
            chunk.beyond, chunk.farthest = self._beyond(error, magnitude, bound, locate, unit)
        self.tally.merge(chunk)

    def _beyond(
        self, error: Floats, magnitude: Floats, bound: Bound, locate: Callable[[int], int], unit: float
    ) -> tuple[int, Peak]:
        limit = np.multiply(magnitude, bound.rtol, out=magnitude)
        limit += bound.atol
        # A quotient of float64 numbers is at most 1 after rounding exactly when it was before.
        quotient = np.divide(error, limit, out=limit)
        farthest = float(quotient.max())
        if not farthest >= 0.0:  # 0 / 0: no error where none is allowed
            np.copyto(quotient, 0.0, where=np.isnan(quotient))
            farthest = float(quotient.max())
        beyond = 0 if farthest <= 1.0 else int(np.count_nonzero(~(quotient <= 1.0)))
        if farthest <= self.tally.farthest.value:
            return beyond, NO_PEAK
        index = int(quotient.argmax())
        return beyond, Peak(farthest, locate(index), min(float(error[index]) * unit, GREATEST))


def finite_errors(reference: Array, candidate: Array) -> Floats:
    """|candidate - reference| of those elements of a chunk that are finite on both sides."""
    family = family_of(candidate.dtype)
    r = widen(reference, family, np.empty(len(reference), wide_dtype(family)))
    c = widen(candidate, family, np.empty_like(r))
    finite = np.isfinite(r) & np.isfinite(c)
    error = np.abs(difference(reference, candidate, family, (r, c)))[finite]
    return np.minimum(error, GREATEST, out=error)


def scaled_dot(x: Array, y: Array) -> Decimal:
    """Sum of products of finite numbers of any magnitude; of complex ones the real part of conj(x) y."""
    (x, x_exponent), (y, y_exponent) = _scaled(parts(x)), _scaled(parts(y))
    return Decimal(_dot(x, y)) * Decimal(2) ** (x_exponent + y_exponent)


def _scaled(x: Floats) -> tuple[Floats, int]:
    """Scaled and exponent, x = scaled * 2^exponent with the greatest |scaled| in [0.5, 1)."""
    exponent = int(np.frexp(np.abs(x).max())[1])
    return np.ldexp(x, -exponent), exponent


def _dot(x: Array, y: Array) -> float:
    # Not BLAS: it starts threads of its own, which get in the way of ours.
    return float(np.einsum("i,i->", parts(x), parts(y)))


def _absolute(x: Array) -> Floats:
    """In place where the dtype allows."""
    return np.abs(x, out=x) if x.dtype == np.float64 else np.abs(x)


def _ordinary(squares: float, x: Array) -> bool:
    """Whether x is all finite and its sum of squares is to be trusted."""
    return _ORDINARY[0] < squares < _ORDINARY[1] or (squares == 0.0 and not x.any())


def _same_value(r: Array, c: Array) -> Array:
    # Part by part: a complex infinity with a NaN in its other part equals nothing.
    return _all_parts(np.equal(parts(r), parts(c)), r)


def _same_nan(r: Array, c: Array) -> Array:
    x, y = parts(r), parts(c)
    return _all_parts((x == y) | (np.isnan(x) & np.isnan(y)), r)


def _all_parts(hits: Array, like: Array) -> Array:
    each: Array = np.logical_and.reduce(hits.reshape(len(like), -1), axis=1)
    return each
