"""Rows in any order: against brute force, under any permutation, and what must find no counterpart."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parity.artifacts import Array
from parity.measuring.matching import Alignment, Side, TooAlike, align_rows
from parity.measuring.matching import candidates as candidates_module
from parity.measuring.matching import rows as rows_module
from parity.measuring.matching.assignment import cheapest, largest

ATOL = 1.0
COARSE = st.integers(-6, 6).map(
    lambda x: x / 2
)  # often equal, often just within the bound, often just beyond


@st.composite
def tables(draw: st.DrawFn, most: int = 6, width: int = 2) -> Array:
    count = draw(st.integers(0, most))
    values = draw(st.lists(COARSE, min_size=count * width, max_size=count * width))
    return np.array(values, np.float32).reshape(count, width)


def aligned(reference: Array, candidate: Array, atol: float = ATOL) -> Alignment:
    return align_rows([Side(reference, candidate, atol, 0.0)])


def within(found: Alignment, reference: Array, candidate: Array, atol: float = ATOL) -> int:
    """How many of the pairs are within the bound."""
    errors = np.abs(candidate[found.candidate] - reference[found.reference])
    return int(np.count_nonzero((errors <= atol).all(axis=1)))


def most_within(reference: Array, candidate: Array) -> int:
    """The same of the best of all assignments, by trying them."""
    short, long = sorted((reference, candidate), key=len)
    fits = (np.abs(short[:, None] - long[None]) <= ATOL).all(axis=2)
    return max(
        sum(fits[at, to] for at, to in enumerate(way)) for way in permutations(range(len(long)), len(short))
    )


def is_one_to_one(found: Alignment, n: int, m: int) -> bool:
    ours = sorted([*found.reference.tolist(), *found.lone_reference.tolist()])
    theirs = sorted([*found.candidate.tolist(), *found.lone_candidate.tolist()])
    return (
        ours == list(range(n)) and theirs == list(range(m)) and len(found.reference) == len(found.candidate)
    )


@given(reference=tables(), candidate=tables())
@settings(max_examples=300, deadline=None)
def test_as_many_pairs_are_within_the_bound_as_by_trying_every_way(
    reference: Array, candidate: Array
) -> None:
    found = aligned(reference, candidate)
    assert is_one_to_one(found, len(reference), len(candidate))
    assert len(found.reference) == min(len(reference), len(candidate))
    assert within(found, reference, candidate) == most_within(reference, candidate)


@given(reference=tables(), candidate=tables())
@settings(max_examples=150, deadline=None)
def test_large_clusters_have_as_many_pairs_too(reference: Array, candidate: Array) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows_module, "_DENSE", 1)
        found = aligned(reference, candidate)
    assert is_one_to_one(found, len(reference), len(candidate))
    assert within(found, reference, candidate) == most_within(reference, candidate)


@given(reference=tables(), candidate=tables())
@settings(max_examples=150, deadline=None)
def test_the_sides_can_be_exchanged(reference: Array, candidate: Array) -> None:
    one, other = aligned(reference, candidate), aligned(candidate, reference)
    assert within(one, reference, candidate) == within(other, candidate, reference)
    assert len(one.lone_reference) == len(other.lone_candidate)


@given(reference=tables(most=30, width=3), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=150, deadline=None)
def test_any_order_of_the_rows_is_found(reference: Array, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(reference))
    found = aligned(reference, reference[order], 0.0)
    assert len(found.reference) == len(reference)
    assert np.array_equal(reference[order][found.candidate], reference)


@given(reference=tables(most=12, width=2), data=st.data())
@settings(max_examples=150, deadline=None)
def test_a_row_beyond_the_bound_of_all_is_never_within(reference: Array, data: st.DataObject) -> None:
    if not len(reference):
        return
    row, column = data.draw(st.integers(0, len(reference) - 1)), data.draw(st.integers(0, 1))
    candidate = reference[::-1].copy()
    candidate[row, column] += 50.0
    assert within(aligned(reference, candidate), reference, candidate) == len(reference) - 1


@given(
    cost=st.integers(1, 5).flatmap(
        lambda n: st.lists(st.lists(st.integers(0, 9), min_size=n, max_size=n), min_size=1, max_size=5)
    )
)
@settings(max_examples=200, deadline=None)
def test_the_cheapest_assignment_is_the_cheapest_of_all(cost: list[list[int]]) -> None:
    matrix = np.array(cost, np.float64)
    rows, columns = cheapest(matrix)
    short = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    ways = permutations(range(short.shape[1]), short.shape[0])
    assert matrix[rows, columns].sum() == min(sum(short[at, to] for at, to in enumerate(way)) for way in ways)
    assert len(set(rows.tolist())) == len(set(columns.tolist())) == min(matrix.shape)


def test_a_greedy_start_is_mended() -> None:
    choices = {0: [0, 1], 1: [0], 2: [1, 2], 3: [2]}
    found = largest(lambda row: np.array(choices[row], np.intp), 4, 3)
    assert np.count_nonzero(found >= 0) == 3
    assert all(found[row] in choices[row] for row in range(4) if found[row] >= 0)


def test_rows_of_a_group_move_together() -> None:
    boxes = np.float32(
        [[0, 0, 1, 1], [0, 0, 1, 1], [5, 5, 6, 6]]
    )  # two boxes are the same, their labels are not
    scores, labels = np.float32([0.9, 0.8, 0.7]), np.array([3, 4, 3])
    order = np.array([2, 1, 0])
    found = align_rows(
        [Side(boxes, boxes[order], 0.1), Side(scores, scores[order], 0.01), Side(labels, labels[order])]
    )
    assert found.candidate.tolist() == [2, 1, 0]


def test_scores_at_other_boxes_are_not_within_the_bound() -> None:
    boxes, scores = np.float32([[0, 0], [9, 9]]), np.float32([0.9, 0.1])
    found = align_rows([Side(boxes, boxes, 0.1), Side(scores, scores[::-1].copy(), 0.01)])
    paired = scores[::-1][found.candidate]
    assert not np.allclose(paired, scores, atol=0.01) or not np.array_equal(boxes[found.candidate], boxes)


def test_a_row_is_no_counterpart_twice() -> None:
    reference, candidate = np.float32([[1], [1], [2]]), np.float32([[1], [2], [2]])
    found = aligned(reference, candidate, 0.1)
    assert within(found, reference, candidate, 0.1) == 2
    shorter = aligned(reference, candidate[:2], 0.1)
    assert (len(shorter.reference), len(shorter.lone_reference)) == (2, 1)


@pytest.mark.parametrize(
    "label", [np.array(["cat", "dog"]), np.array([2**62, 2**62 + 1]), np.array([True, False])]
)
def test_what_must_be_equal_is_equal(label: Array) -> None:
    boxes = np.zeros((2, 4), np.float32)
    found = align_rows([Side(boxes, boxes, 1.0), Side(label, label[::-1].copy())])
    assert found.candidate.tolist() == [1, 0]


def test_nan_meets_nan_only_where_that_is_asked_for() -> None:
    table = np.float32([[1, np.nan], [2, 2]])
    strict = align_rows([Side(table, table[::-1].copy(), 0.1, 0.0)])
    assert strict.guessed == 1  # the row with NaN is left over on both sides
    lenient = align_rows([Side(table, table[::-1].copy(), 0.1, 0.0, equal_nan=True)])
    assert (lenient.candidate.tolist(), lenient.guessed) == ([1, 0], 0)


def test_infinities_meet_their_equals() -> None:
    table = np.float32([[np.inf], [-np.inf], [1]])
    found = align_rows([Side(table, table[[2, 0, 1]], 1e6, 1e6)])
    assert found.candidate.tolist() == [1, 2, 0]


def test_a_bound_that_tells_nothing_apart_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates_module, "_PAIRS", 50)
    values = np.linspace(0, 1, 10, dtype=np.float32)[:, None]
    with pytest.raises(TooAlike):
        aligned(values, values, 5.0)


def test_equal_rows_by_the_thousand_are_one_class() -> None:
    padded = np.zeros((5000, 4), np.float32)
    padded[:10] = np.arange(40, dtype=np.float32).reshape(10, 4) + 10
    found = aligned(padded, padded[::-1].copy(), 0.01)
    assert np.array_equal(padded[::-1][found.candidate], padded)


def test_a_pair_beyond_the_bound_is_sure_only_where_no_other_is_near() -> None:
    reference = np.float32([[0], [100], [200]])
    assert aligned(reference, reference + 3, 1.0).guessed == 0
    assert aligned(reference, reference + 40, 1.0).guessed > 0


def test_rows_that_may_be_missing_are_paired_with_nothing_else() -> None:
    reference, candidate = np.float32([[0], [50]]), np.float32([[50], [90]])
    spare = (np.array([True, False]), np.array([False, True]))
    found = align_rows([Side(reference, candidate, 1.0)], spare)
    assert (found.lone_reference.tolist(), found.lone_candidate.tolist()) == ([0], [1])


def test_no_rows() -> None:
    none = np.zeros((0, 4), np.float32)
    found = aligned(none, none)
    assert (len(found.reference), found.moved) == (0, 0)
    some = aligned(none, np.ones((2, 4), np.float32))
    assert some.lone_candidate.tolist() == [0, 1]
