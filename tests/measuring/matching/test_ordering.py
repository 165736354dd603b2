"""Sorted values and entries of a top k."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.arrays import bfloat16

from parity.artifacts import Array
from parity.measuring.matching import TopK, align_sorted, align_topk

VALUES = st.lists(st.integers(-8, 8).map(lambda x: x / 2), min_size=1, max_size=6)


@given(
    reference=VALUES,
    seed=st.integers(0, 2**32 - 1),
    atol=st.sampled_from([0.0, 0.5, 1.0]),
    rtol=st.sampled_from([0.0, 0.5]),
    data=st.data(),
)
@settings(max_examples=200, deadline=None)
def test_if_any_pairing_is_within_the_bound_the_sorted_one_is(
    reference: list[float], seed: int, atol: float, rtol: float, data: st.DataObject
) -> None:
    ours = np.array(reference)
    theirs = np.array(
        data.draw(st.lists(st.integers(-8, 8).map(lambda x: x / 2), min_size=len(ours), max_size=len(ours)))
    )
    found = align_sorted(ours, theirs, None)
    bound = atol + rtol * np.abs(ours)
    by_order = bool((np.abs(theirs[found.candidate] - ours[found.reference]) <= bound[found.reference]).all())
    any_way = any((np.abs(np.array(way) - ours) <= bound).all() for way in permutations(theirs))
    assert by_order == any_way


def test_along_an_axis_slices_stay_apart() -> None:
    reference = np.array([[1, 2, 3], [4, 5, 6]])
    candidate = np.array([[3, 1, 2], [6, 5, 4]])
    found = align_sorted(reference, candidate, 1)
    assert np.array_equal(candidate.reshape(-1)[found.candidate], reference.reshape(-1)[found.reference])
    swapped = align_sorted(reference, candidate[::-1].copy(), 1)
    assert not np.array_equal(
        candidate[::-1].reshape(-1)[swapped.candidate], reference.reshape(-1)[swapped.reference]
    )


@pytest.mark.parametrize(
    "values", [np.array(["b", "a", "c"]), bfloat16([2, 1, 3]), np.array([2**63, 1, 2**63 + 1], np.uint64)]
)
def test_every_dtype_with_an_order_is_sorted(values: Array) -> None:
    found = align_sorted(values, values[[2, 0, 1]].copy(), None)
    assert values[[2, 0, 1]][found.candidate].tolist() == values[found.reference].tolist()


def topk(
    reference: tuple[list[float], list[int]], candidate: tuple[list[float], list[int]], atol: float = 0.01
) -> TopK:
    (ours, our_places), (theirs, their_places) = reference, candidate
    return align_topk(
        (np.array([ours]), np.array([theirs])),
        (np.array([our_places]), np.array([their_places])),
        -1,
        atol,
        0.0,
    )


def test_near_ties_may_swap() -> None:
    found = topk(([0.9, 0.5, 0.499], [7, 3, 9]), ([0.9, 0.5, 0.499], [7, 9, 3]))
    assert found.alignment.candidate.tolist() == [0, 2, 1]
    assert not found.swapped.size


def test_another_entry_may_come_in_at_the_end() -> None:
    found = topk(([0.9, 0.5, 0.499], [7, 3, 9]), ([0.9, 0.5, 0.498], [7, 3, 4]))
    assert found.swapped.tolist() == [2]


@pytest.mark.parametrize(
    ("values", "indices"),
    [
        ([0.9, 0.5, 0.499], [7, 3, 3]),  # one twice
        ([0.9, 0.5, 0.499], [7, 7, 3]),
        ([0.9, 0.5, 0.499], [4, 3, 9]),  # the greatest is another one
        ([0.9, 0.6, 0.499], [7, 4, 9]),  # one in the middle is
    ],
)
def test_no_other_index_may_come_in(values: list[float], indices: list[int]) -> None:
    reference = ([0.9, 0.5, 0.499], [7, 3, 9]) if values[1] == 0.5 else ([0.9, 0.6, 0.499], [7, 3, 9])
    found = topk(reference, (values, indices))
    assert not found.swapped.size
    aligned = np.array(indices)[found.alignment.candidate]
    assert aligned.tolist() != reference[1]


def test_without_an_order_no_other_index_may_come_in() -> None:
    found = topk(([0.5, 0.9, 0.499], [3, 7, 9]), ([0.5, 0.9, 0.498], [3, 7, 4]))
    assert not found.swapped.size


def test_of_the_least_k_the_end_is_the_greatest() -> None:
    found = topk(([0.1, 0.2, 0.5], [7, 3, 9]), ([0.1, 0.2, 0.501], [7, 3, 4]))
    assert found.swapped.tolist() == [2]
