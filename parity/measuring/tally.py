"""What one pass over two tensors counts and sums up; tallies of blocks merge in the order of the elements.

Sums are decimals: their range has no end, so that squares of 1e300 and of 1e-300 both survive.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from decimal import Decimal
from typing import NamedTuple

ZERO = Decimal(0)


class Peak(NamedTuple):
    """A greatest value so far, the flat index of the first element that has it, the absolute error."""

    value: float
    at: int
    abs_error: float

    def over(self, other: Peak) -> Peak:
        """The greater; of equals, the one that comes first. Neither is NaN."""
        return max(self, other, key=lambda peak: (peak.value, -peak.at))


NO_PEAK = Peak(value=-1.0, at=-1, abs_error=0.0)


@dataclass(slots=True)
class Sums:
    """Over the pairs that are finite on both sides: r the reference, c the candidate, d = c - r."""

    rr: Decimal = ZERO
    cc: Decimal = ZERO
    rc: Decimal = ZERO  # of complex numbers: the real part of conj(r) c
    dd: Decimal = ZERO
    absolute: Decimal = ZERO  # |d|


@dataclass(slots=True)
class NonfiniteCounts:
    """As `parity.records.results.Nonfinite` has them."""

    reference_nan: int = 0
    candidate_nan: int = 0
    reference_inf: int = 0
    candidate_inf: int = 0
    mismatched: int = 0


@dataclass(slots=True)
class Tally:
    """Counts, sums and peaks of the elements seen so far."""

    compared: int = 0
    beyond: int = 0  # finite pairs outside the bound
    reference_max_abs: float = 0.0
    largest: Peak = NO_PEAK  # of |d|
    farthest: Peak = NO_PEAK  # of |d| / bound; may be inf
    sums: Sums = field(default_factory=Sums)
    nonfinite: NonfiniteCounts = field(default_factory=NonfiniteCounts)
    first_unmet: int = -1  # flat index of the first non-finite mismatch

    def merge(self, later: Tally) -> None:
        """Adds the tally of elements that come after all of this one's."""
        self.compared += later.compared
        self.beyond += later.beyond
        self.reference_max_abs = max(self.reference_max_abs, later.reference_max_abs)
        self.largest = self.largest.over(later.largest)
        self.farthest = self.farthest.over(later.farthest)
        _add(self.sums, later.sums)
        _add(self.nonfinite, later.nonfinite)
        if self.first_unmet < 0:
            self.first_unmet = later.first_unmet


def _add(total: Sums | NonfiniteCounts, more: Sums | NonfiniteCounts) -> None:
    for each in fields(total):
        setattr(total, each.name, getattr(total, each.name) + getattr(more, each.name))
