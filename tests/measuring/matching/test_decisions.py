"""Decisions for a class, near ties and NaN."""

from __future__ import annotations

import numpy as np
import pytest

from parity.measuring.matching import compare_decisions

LOGITS = np.float32([[0, 1, 5], [2, 1, 0], [3, 2.9, 0], [1, 1, 0]])


def test_a_decision_that_differs_is_counted_with_its_margin() -> None:
    candidate = LOGITS.copy()
    candidate[1] = [0, 1, 2]
    found = compare_decisions(LOGITS, candidate, -1, 0.0)
    assert (found.count, found.flipped.tolist(), found.margins.tolist()) == (4, [1], [1.0])
    assert [side.tolist() for side in found.classes] == [[0], [2]]


def test_within_the_margin_either_class_is_right() -> None:
    candidate = LOGITS[:, [1, 0, 2]]
    assert compare_decisions(LOGITS, candidate, -1, 0.2).flipped.tolist() == [1]
    assert compare_decisions(LOGITS, candidate, -1, 0.0).flipped.tolist() == [1, 2]
    assert compare_decisions(LOGITS, candidate, -1, 0.2).undecided == 2


def test_along_another_axis() -> None:
    assert compare_decisions(LOGITS, LOGITS.copy(), 0, 0.0).count == 3


@pytest.mark.parametrize("margin", [0.0, 1e9])
def test_a_nan_is_never_undecided(margin: float) -> None:
    broken = LOGITS.copy()
    broken[1, 2] = np.nan
    assert 1 in compare_decisions(broken, LOGITS, -1, margin).flipped
    if not margin:
        assert 1 in compare_decisions(LOGITS, broken, -1, margin).flipped


def test_equal_infinities_are_a_tie() -> None:
    both = np.float32([[np.inf, np.inf]])
    assert compare_decisions(both, both, -1, 0.0).undecided == 1


def test_a_single_class_is_always_decided() -> None:
    one = np.float32([[1], [2]])
    found = compare_decisions(one, one + 5, -1, 1.0)
    assert (found.undecided, found.flipped.size) == (0, 0)


def test_nothing_to_decide() -> None:
    none = np.zeros((0, 3), np.float32)
    assert compare_decisions(none, none, -1, 0.0).count == 0
