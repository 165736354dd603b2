"""Why two tensors can't be compared at all."""

from __future__ import annotations

from parity.pairing import Pair
from parity.records.measurements import Tolerance

from .dtypes import may_differ


def unlike(pair: Pair, tolerance: Tolerance | None = None, axis: int | None = None) -> str:
    """Why the two tensors of a pair can't be compared; empty when they can.

    Args:
        pair: both tensors' records.
        tolerance: with ``match: rows``, as many rows on both sides are not asked for; it may let dtypes
            differ.
        axis: along which the tensors may be of different length, whatever the tolerance says.
    """
    reference, candidate = pair.reference, pair.candidate
    if pair.problem:
        return pair.problem
    if reference is None or candidate is None:
        return f"missing in the {'reference' if reference is None else 'candidate'}"
    found = []
    if not may_differ(tolerance, reference.dtype, candidate.dtype):
        found.append(f"the reference is {reference.dtype}, the candidate {candidate.dtype}")
    if axis is None and tolerance is not None and tolerance.match == "rows":
        axis = tolerance.axis or 0
    if _without(reference.shape, axis) != _without(candidate.shape, axis):
        found.append(
            f"the reference has the shape {list(reference.shape)}, the candidate {list(candidate.shape)}"
        )
    return "; ".join(found)


def _without(shape: tuple[int, ...], axis: int | None) -> tuple[int | None, ...]:
    return shape if axis is None else tuple(None if at == axis else size for at, size in enumerate(shape))
