"""Values lined up by their order: a multiset of values, and the entries of a top k."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from parity.artifacts import Array, dtype_name

from .alignment import Alignment, Indices

_NONE = np.zeros(0, np.intp)


@dataclass(frozen=True)
class TopK:
    """How the entries of a top k on the candidate's side line up with the reference's.

    Args:
        alignment: of elements, by their position in C order.
        swapped: positions, in the alignment, of entries that differ in their index, each with a value that
            ties with the last of the k: which of two such is in, rounding decides.
    """

    alignment: Alignment
    swapped: Indices


def align_sorted(reference: Array, candidate: Array, axis: int | None) -> Alignment:
    """The n-th least value of one side stands for the n-th least of the other, along an axis or over all.

    Of all ways to pair numbers it is the one with the least errors: if any is within atol + rtol |reference|,
    with rtol at most 1, this one is.

    Args:
        reference: of the candidate's shape and dtype, not complex; NaN comes last.
        candidate: its counterpart.
        axis: None sorts all values together.
    """
    ours, theirs = _order(reference, axis), _order(candidate, axis)
    by_place = np.argsort(ours, kind="stable")
    return Alignment(ours[by_place], theirs[by_place], _NONE, _NONE)


def align_topk(
    values: tuple[Array, Array], indices: tuple[Array, Array], axis: int, atol: float, rtol: float
) -> TopK:
    """Entries with the same index stand for each other, wherever they are among the k.

    An index that only one side has may stand for one that only the other has when, on its own side, its value
    is within atol + rtol |value| of the last of the k.

    Args:
        values: of reference and candidate, of one shape.
        indices: of the same shape; whole numbers.
        axis: along which the k entries lie.
        atol: when two values tie.
        rtol: see `atol`.
    """
    shape = values[0].shape
    places = np.moveaxis(np.arange(values[0].size).reshape(shape), axis, -1).reshape(-1, shape[axis])
    flat_values = [np.ravel(each) for each in values]
    flat_indices = [np.ravel(each) for each in indices]
    candidate = np.empty(values[0].size, np.intp)
    swapped: list[int] = []
    for slots in places:
        ours, theirs = (
            (each[slots], index[slots]) for each, index in zip(flat_values, flat_indices, strict=True)
        )
        order, tied = _slice(ours, theirs, atol, rtol)
        candidate[slots] = slots[order]
        swapped += slots[tied].tolist()
    return TopK(Alignment(np.arange(candidate.size), candidate, _NONE, _NONE), np.array(swapped, np.intp))


def _slice(
    reference: tuple[Array, Array], candidate: tuple[Array, Array], atol: float, rtol: float
) -> tuple[Indices, list[int]]:
    """For each entry of the reference its place in the candidate; and those that another one replaces."""
    places: dict[int, list[int]] = {}
    for place, index in enumerate(candidate[1].tolist()):
        places.setdefault(index, []).append(place)
    order = np.full(len(reference[1]), -1, np.intp)
    for place, index in enumerate(reference[1].tolist()):
        if places.get(index):
            order[place] = places[index].pop(0)
    ours = np.flatnonzero(order < 0)
    theirs = np.setdiff1d(np.arange(len(order)), order)
    known, seen = set(reference[1].tolist()), Counter(candidate[1].tolist())
    tied = []
    for place, other in zip(ours.tolist(), theirs.tolist(), strict=True):
        order[place] = other
        index = int(candidate[1][other])
        is_new = index not in known and seen[index] == 1
        if is_new and _ties(reference[0], place, atol, rtol) and _ties(candidate[0], other, atol, rtol):
            tied.append(place)
    return order, tied


def _ties(values: Array, place: int, atol: float, rtol: float) -> bool:
    """Whether a value is within the bound of the last of the k; no, where they are in no order."""
    numbers = values.astype(np.float64)
    falls, rises = bool(np.all(np.diff(numbers) <= 0)), bool(np.all(np.diff(numbers) >= 0))
    last = numbers[-1]
    return (falls or rises) and bool(abs(numbers[place] - last) <= atol + rtol * abs(last))


def _order(array: Array, axis: int | None) -> Indices:
    """Positions in C order of the elements, sorted; along an axis, slice after slice."""
    keys = _sortable(array)
    if axis is None:
        return np.argsort(keys.reshape(-1), kind="stable")
    places = np.moveaxis(np.arange(array.size).reshape(array.shape), axis, -1)
    order = np.argsort(np.moveaxis(keys, axis, -1), axis=-1, kind="stable")
    return np.take_along_axis(places, order, axis=-1).reshape(-1)


def _sortable(array: Array) -> Array:
    """What NumPy can sort: the extended dtypes in float64, which holds each of their values."""
    plain = dtype_name(array.dtype) == "string" or array.dtype.kind in "fiub"
    return array if plain else array.astype(np.float64)
