"""Rows of several tensors matched one to one, whatever their order.

Two rows may be the same when every element is within its bound. Rows are first told apart by what must be
equal (labels, ids) and by the column that tells most; equal ones are taken together; and only in what is then
left of clusters, where a row may be several others, is there anything to decide.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from .alignment import Alignment, Indices, Side, joined
from .assignment import Costs, cheapest, largest
from .candidates import possible_pairs
from .group_rows import LIMIT, Floats, Mask, Rows, with_rows

Masks = tuple[Mask, Mask]
"""A truth value for each row of the reference, and of the candidate."""

_DENSE = 1 << 20  # elements of a matrix in which the cheapest assignment is looked for
_CLEARLY = 2.0  # times the cost: how much worse the next best partner of a pair beyond the bound has to be


def align_rows(sides: Sequence[Side], spare: Masks | None = None) -> Alignment:
    """The rows that belong together: as many pairs within their bounds as there can be.

    Within a cluster of at most 2^20 pairs of rows, and among the rows that are beyond every bound, it is the
    assignment with the least sum of |error| / bound. In a larger cluster the number of pairs is the greatest,
    and each takes the nearest that is free. Rows that are left on one side alone have no counterpart.

    Args:
        sides: tensors whose rows move together, at least one.
        spare: rows on either side that may do without a counterpart: none is paired beyond its bounds.

    Raises:
        TooAlike: so many rows may be so many others that the bound tells nothing.
    """
    rows = with_rows(sides)
    classes = rows.classes()
    edges = possible_pairs(classes.rows)
    pairs = list(_within(rows, classes.reference, classes.candidate, edges))
    reference = np.concatenate([np.zeros(0, np.intp), *(pair[0] for pair in pairs)])
    candidate = np.concatenate([np.zeros(0, np.intp), *(pair[1] for pair in pairs)])
    found = _alignment(rows, reference, candidate)
    return _completed(rows, found, spare)


def _within(
    rows: Rows, references: list[Indices], candidates: list[Indices], edges: tuple[Indices, Indices]
) -> Iterator[tuple[Indices, Indices]]:
    """Pairs within their bounds, cluster by cluster, of the members of all classes."""
    for ours, theirs, possible in _clusters(edges, len(references), len(candidates)):
        one = np.concatenate([references[each] for each in ours])
        other = np.concatenate([candidates[each] for each in theirs])
        if len(ours) == 1 and len(theirs) == 1:
            count = min(one.size, other.size)
            yield one[:count], other[:count]
        elif one.size * other.size <= _DENSE:
            yield _cheapest_within(rows, one, other)
        elif possible == len(ours) * len(theirs):  # any row may be any other: padding, mostly
            count = min(one.size, other.size)
            yield _sorted(rows.reference, one)[:count], _sorted(rows.candidate, other)[:count]
        else:
            yield _largest_within(rows, one, other)


def _cheapest_within(rows: Rows, one: Indices, other: Indices) -> tuple[Indices, Indices]:
    cost, fits = rows.cost(one, other), rows.fit(one, other)
    beyond = (1.0 + rows.width) * (1 + min(cost.shape))  # more than all pairs within their bounds together
    a, b = cheapest(np.where(fits, cost, beyond))
    kept = fits[a, b]
    return one[a[kept]], other[b[kept]]


def _largest_within(rows: Rows, one: Indices, other: Indices) -> tuple[Indices, Indices]:
    def neighbours(row: int) -> Indices:
        ours = one[row : row + 1]
        fitting = np.flatnonzero(rows.fit(ours, other)[0])
        return fitting[np.argsort(rows.cost(ours, other[fitting])[0], kind="stable")]

    columns = largest(neighbours, one.size, other.size)
    kept = columns >= 0
    return one[kept], other[columns[kept]]


def _sorted(values: Floats, members: Indices) -> Indices:
    return members[np.lexsort(values[members].T[::-1])]


def _clusters(
    edges: tuple[Indices, Indices], ours: int, theirs: int
) -> Iterator[tuple[Indices, Indices, int]]:
    """Classes connected by possible pairs, and by how many; those without a possible pair are left out."""
    one, other = edges[0], edges[1] + ours
    label = np.arange(ours + theirs)
    while True:
        least = np.minimum(label[one], label[other])
        following = label.copy()
        np.minimum.at(following, label[one], least)
        np.minimum.at(following, label[other], least)
        following = following[following]
        if np.array_equal(following, label):
            break
        label = following
    possible = np.bincount(label[one], minlength=label.size)
    connected = np.union1d(one, other)
    order = connected[np.argsort(label[connected], kind="stable")]
    for members in np.split(order, np.flatnonzero(np.diff(label[order])) + 1):
        if members.size:
            count = int(possible[label[members[0]]])
            yield members[members < ours], members[members >= ours] - ours, count


def _completed(rows: Rows, found: Alignment, spare: Masks | None) -> Alignment:
    """With pairs also of what is beyond every bound, by the least sum, so that a report can say how far."""
    one, other = found.lone_reference, found.lone_candidate
    if spare is not None:
        one, other = one[~spare[0][one]], other[~spare[1][other]]
    if not (one.size and other.size and one.size * other.size <= _DENSE):
        return found
    cost = rows.cost(one, other)
    a, b = cheapest(cost)
    guessed = int(np.count_nonzero(~_clear(cost, a, b)))
    reference = np.concatenate([found.reference, one[a]])
    return _alignment(rows, reference, np.concatenate([found.candidate, other[b]]), guessed)


def _clear(cost: Costs, a: Indices, b: Indices) -> Mask:
    """Whether each pair is its own rows' best by far, on both sides."""
    chosen = cost[a, b]
    others = cost.copy()
    others[a, b] = np.inf
    next_best = np.minimum(others.min(axis=1)[a], others.min(axis=0)[b])
    clear: Mask = (chosen < LIMIT) & (_CLEARLY * chosen <= next_best)
    return clear


def _alignment(rows: Rows, reference: Indices, candidate: Indices, guessed: int = 0) -> Alignment:
    order = np.argsort(reference, kind="stable")
    return Alignment(
        reference=reference[order],
        candidate=candidate[order],
        lone_reference=np.setdiff1d(np.arange(len(rows.reference)), reference),
        lone_candidate=np.setdiff1d(np.arange(len(rows.candidate)), candidate),
        guessed=guessed,
    )


def align_batches(batches: Sequence[Sequence[Side]], spare: Masks | None = None) -> Alignment:
    """`align_rows` of each batch, as one alignment; positions, those of `spare` too, count through all.

    Raises:
        TooAlike: see `align_rows`.
    """
    parts, ours, theirs = [], 0, 0
    for sides in batches:
        n, m = len(sides[0].reference), len(sides[0].candidate)
        of_batch = None if spare is None else (spare[0][ours : ours + n], spare[1][theirs : theirs + m])
        parts.append((align_rows(sides, of_batch), ours, theirs))
        ours, theirs = ours + n, theirs + m
    return joined(parts)
