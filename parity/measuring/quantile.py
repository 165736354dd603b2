"""Exact quantiles of the absolute error in bounded memory: digits of the answer, the highest first.

Non-negative floats are ordered as their bits are. One pass counts the values of the highest 16 bits, which
gives those of the answer; the next counts the following 16 among the values that share them; and so on,
four passes in all.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from math import ceil

import numpy as np

from parity.artifacts import Array

from .elementwise import finite_errors
from .streaming import chunks, over_blocks, window

_DIGIT = 16
_VALUES = 1 << _DIGIT


def quantiles(reference: Array, candidate: Array, shares: Iterable[str], compared: int) -> dict[str, float]:
    """For each share, the smallest error e such that at least that share of the errors is <= e.

    Args:
        reference: any shape and dtype.
        candidate: of the same.
        shares: decimal numbers in [0, 1] as text: "0.999" is just that, not its neighbour in binary.
        compared: how many pairs are finite on both sides; the errors are theirs.
    """
    # share -> the bits found so far and the answer's rank, from 1, among the errors that begin with them
    found = {share: (0, max(1, ceil(Fraction(share) * compared))) for share in shares}
    if not (found and compared):
        return dict.fromkeys(found, 0.0)
    for shift in range(64 - _DIGIT, -1, -_DIGIT):
        prefixes = sorted({prefix for prefix, _ in found.values()})
        counts = dict(zip(prefixes, _count(reference, candidate, prefixes, shift), strict=True))
        for share, (prefix, rank) in found.items():
            below = np.cumsum(counts[prefix])
            digit = int(np.searchsorted(below, rank))
            rank_within = rank - (int(below[digit - 1]) if digit else 0)
            found[share] = (prefix << _DIGIT | digit, rank_within)
    return {share: float(np.uint64(bits).view(np.float64)) for share, (bits, _) in found.items()}


def _count(reference: Array, candidate: Array, prefixes: list[int], shift: int) -> Array:
    """How often each 16-bit digit at `shift` follows each prefix; shape (prefixes, 2^16)."""

    def block(start: int, stop: int) -> Array:
        counts = np.zeros((len(prefixes), _VALUES), np.int64)
        with np.errstate(all="ignore"):
            for at, end in chunks(start, stop):
                errors = finite_errors(window(reference, at, end), window(candidate, at, end))
                digits = errors.view(np.uint64) >> np.uint64(shift)
                _count_digits(digits, prefixes, counts)
        return counts

    total = np.zeros((len(prefixes), _VALUES), np.int64)
    for counts in over_blocks(block, candidate.size):
        total += counts
    return total


def _count_digits(digits: Array, prefixes: list[int], counts: Array) -> None:
    leading = digits >> np.uint64(_DIGIT)
    digits = (digits & np.uint64(_VALUES - 1)).astype(np.intp)
    for row, prefix in enumerate(prefixes):
        counts[row] += np.bincount(digits[leading == np.uint64(prefix)], minlength=_VALUES)
