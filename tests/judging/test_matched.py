"""Outputs that are matched, from tensors on disk to a verdict: what passes, and all that must not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.arrays import saved_pair, tolerance

from parity.errors import SpecError
from parity.judging import compare_outputs
from parity.records.measurements import Tolerance
from parity.records.results import OutputResult

SPEC = "parity.yml"
BOXES = np.float32([[0, 0, 4, 4], [1, 1, 5, 5], [20, 20, 30, 30], [7, 7, 9, 9]])
SCORES = np.float32([0.9, 0.8, 0.3, 0.05])
LABELS = np.array([1, 2, 1, 3])
DETECTOR = (
    tolerance("boxes", match="rows", together=("scores", "labels"), atol=0.01),
    tolerance("scores", atol=1e-3),
    tolerance("labels"),
)


def judged(
    directory: Path, outputs: dict[str, tuple[Any, Any]], *rules: Tolerance
) -> dict[str, OutputResult]:
    pairs = tuple(saved_pair(directory, *sides, name) for name, sides in outputs.items())
    return {result.name: result for result in compare_outputs(pairs, rules, SPEC)}


def detections(
    directory: Path, candidate: tuple[Any, Any, Any], *rules: Tolerance
) -> dict[str, OutputResult]:
    sides = zip((BOXES, SCORES, LABELS), candidate, strict=True)
    outputs = dict(zip(("boxes", "scores", "labels"), sides, strict=True))
    return judged(directory, outputs, *(rules or DETECTOR))


def statuses(results: dict[str, OutputResult]) -> list[str]:
    return [result.status for result in results.values()]


@given(order=st.permutations(range(4)))
@settings(max_examples=24, deadline=None)
def test_any_order_passes_where_all_outputs_have_it(tmp_path_factory: Any, order: list[int]) -> None:
    directory = tmp_path_factory.mktemp("rows")
    results = detections(directory, (BOXES[order] + np.float32(0.005), SCORES[order], LABELS[order]))
    assert statuses(results) == ["passed"] * 3
    found = results["boxes"].measurement
    assert found is not None
    assert found.matching is not None
    assert found.matching.moved == sum(at != to for at, to in enumerate(order))
    assert found.max_abs == pytest.approx(0.005, rel=1e-3)


def test_without_match_another_order_fails(tmp_path: Path) -> None:
    results = judged(tmp_path, {"boxes": (BOXES, BOXES[::-1])}, tolerance("boxes", atol=0.01))
    assert statuses(results) == ["failed"]


def test_scores_that_moved_alone_fail(tmp_path: Path) -> None:
    results = detections(tmp_path, (BOXES, SCORES[[1, 0, 2, 3]], LABELS))
    assert "failed" in statuses(results)


def test_labels_that_moved_alone_fail(tmp_path: Path) -> None:
    assert "failed" in statuses(detections(tmp_path, (BOXES, SCORES, LABELS[::-1])))


def test_a_box_beyond_its_bound_fails_and_says_where_it_is_on_both_sides(tmp_path: Path) -> None:
    order = [3, 2, 1, 0]
    moved = BOXES[order].copy()
    moved[1, 0] += 0.5
    results = detections(tmp_path, (moved, SCORES[order], LABELS[order]))
    assert [results[name].status for name in results] == ["failed", "passed", "passed"]
    measured = results["boxes"].measurement
    assert measured is not None
    assert measured.worst is not None
    assert (measured.worst.index, measured.worst.candidate_index) == ((2, 0), (1, 0))
    assert (measured.worst.reference, measured.worst.candidate) == ("20.0", "20.5")
    assert results["boxes"].factor == pytest.approx(50.0, rel=1e-3)


def test_a_missing_row_fails_and_is_listed_with_its_values(tmp_path: Path) -> None:
    results = detections(tmp_path, (BOXES[:3], SCORES[:3], LABELS[:3]))
    assert statuses(results) == ["failed"] * 3
    boxes = results["boxes"]
    assert boxes.measurement is not None
    assert boxes.measurement.matching is not None
    assert boxes.measurement.matching.examples == (
        "row 3 of the reference has no counterpart: boxes [7.0, 7.0, 9.0, 9.0], scores 0.05, labels 3",
    )
    assert [check.measured for check in boxes.checks if check.criterion == "rows"] == [
        "1 without, of 4 in the reference and 3 in the candidate"
    ]


def test_a_row_too_many_fails(tmp_path: Path) -> None:
    more = [np.concatenate([side, side[:1]]) for side in (BOXES, SCORES, LABELS)]
    assert statuses(detections(tmp_path, (more[0], more[1], more[2]))) == ["failed"] * 3


def test_a_row_that_is_there_twice_stands_for_one(tmp_path: Path) -> None:
    twice = [0, 0, 2, 3]
    assert "failed" in statuses(detections(tmp_path, (BOXES[twice], SCORES[twice], LABELS[twice])))


def test_a_row_with_nan_has_no_counterpart(tmp_path: Path) -> None:
    broken = BOXES.copy()
    broken[0, 0] = np.nan
    rows = tolerance("boxes", match="rows", atol=1e9)
    assert statuses(judged(tmp_path, {"boxes": (broken, broken[::-1])}, rows)) == ["failed"]


@pytest.mark.parametrize("swapped", [False, True])
def test_nothing_against_something_fails(tmp_path: Path, swapped: bool) -> None:
    sides = [(side, side[:0]) for side in (BOXES, SCORES, LABELS)]
    names = ("boxes", "scores", "labels")
    outputs = {name: (b, a) if swapped else (a, b) for name, (a, b) in zip(names, sides, strict=True)}
    assert statuses(judged(tmp_path, outputs, *DETECTOR)) == ["failed"] * 3


def test_nothing_against_nothing_passes(tmp_path: Path) -> None:
    outputs = {
        "boxes": (BOXES[:0], BOXES[:0]),
        "scores": (SCORES[:0], SCORES[:0]),
        "labels": (LABELS[:0],) * 2,
    }
    assert statuses(judged(tmp_path, outputs, *DETECTOR)) == ["passed"] * 3


OPTIONAL = (DETECTOR[0], tolerance("scores", atol=1e-3, optional_below=0.051), DETECTOR[2])


def test_a_row_below_the_cut_off_may_be_missing(tmp_path: Path) -> None:
    results = detections(tmp_path, (BOXES[:3], SCORES[:3], LABELS[:3]), *OPTIONAL)
    assert statuses(results) == ["passed"] * 3
    measured = results["boxes"].measurement
    assert measured is not None
    assert measured.matching is not None
    assert (measured.matching.lone_reference, measured.matching.optional) == (1, 1)


def test_a_row_above_the_cut_off_may_not(tmp_path: Path) -> None:
    kept = [0, 1, 3]
    results = detections(tmp_path, (BOXES[kept], SCORES[kept], LABELS[kept]), *OPTIONAL)
    assert statuses(results) == ["failed"] * 3


def test_all_rows_below_the_cut_off_missing_is_not_a_comparison(tmp_path: Path) -> None:
    low = tolerance("scores", atol=1e-3, optional_below=1.0)
    results = detections(tmp_path, (BOXES[:0], SCORES[:0], LABELS[:0]), DETECTOR[0], low, DETECTOR[2])
    assert statuses(results) == ["failed"] * 3


def test_the_score_in_a_column(tmp_path: Path) -> None:
    rows = np.concatenate([BOXES, SCORES[:, None]], axis=1)
    rule = tolerance("rows", match="rows", atol=0.01, optional_below=0.051, score_column=4)
    assert statuses(judged(tmp_path, {"rows": (rows, rows[[2, 1, 0]])}, rule)) == ["passed"]
    assert statuses(judged(tmp_path, {"rows": (rows, rows[[3, 1, 0]])}, rule)) == ["failed"]


def test_batches_do_not_mix(tmp_path: Path) -> None:
    both = np.stack([BOXES, BOXES + 100])
    rule = tolerance("boxes", match="rows", axis=1, atol=0.01)
    assert statuses(judged(tmp_path, {"boxes": (both, both[:, ::-1])}, rule)) == ["passed"]
    assert statuses(judged(tmp_path, {"boxes": (both, both[::-1])}, rule)) == ["failed"]


def test_rows_of_a_side_that_do_not_belong_together_fail(tmp_path: Path) -> None:
    results = detections(tmp_path, (BOXES, SCORES[:3], LABELS))
    assert statuses(results) == ["failed"] * 3
    assert "do not belong together" in results["boxes"].problem


def test_a_member_of_another_dtype_fails_the_group(tmp_path: Path) -> None:
    results = detections(tmp_path, (BOXES, SCORES.astype(np.float64), LABELS))
    assert statuses(results) == ["failed"] * 3
    assert "scores: the reference is float32, the candidate float64" in results["boxes"].problem


def test_strings_are_labels_too(tmp_path: Path) -> None:
    names = np.array(["cat", "dog", "cat", "cow"])
    order = [2, 3, 0, 1]
    rules = (tolerance("boxes", match="rows", together=("names",), atol=0.01), tolerance("names"))
    outputs = {"boxes": (BOXES, BOXES[order]), "names": (names, names[order])}
    assert statuses(judged(tmp_path, outputs, *rules)) == ["passed"] * 2
    assert "failed" in statuses(judged(tmp_path, {**outputs, "names": (names, names)}, *rules))


def test_criteria_over_all_elements_are_of_what_is_matched(tmp_path: Path) -> None:
    rule = tolerance("boxes", match="rows", atol=0.01, mean_abs=1e-6, cosine=0.999999)
    assert statuses(judged(tmp_path, {"boxes": (BOXES, BOXES[::-1])}, rule)) == ["passed"]


def test_sorted_values(tmp_path: Path) -> None:
    values = np.float32([3, 1, 2, 2])
    rule = tolerance("y", match="sorted", atol=0.01)
    assert statuses(judged(tmp_path, {"y": (values, values[[3, 2, 1, 0]])}, rule)) == ["passed"]
    assert statuses(judged(tmp_path, {"y": (values, np.float32([3, 1, 1, 2]))}, rule)) == ["failed"]
    assert statuses(judged(tmp_path, {"y": (values, values[:3])}, rule)) == ["failed"]
    assert statuses(judged(tmp_path, {"y": (values.astype(np.complex64),) * 2}, rule)) == ["failed"]


TOPK = (tolerance("values", match="topk", together=("indices",), atol=0.01), tolerance("indices"))


def test_topk(tmp_path: Path) -> None:
    values, indices = np.float32([[0.9, 0.5, 0.499]]), np.array([[7, 3, 9]])

    def of(theirs: Any, places: Any) -> list[str]:
        outputs = {"values": (values, np.float32([theirs])), "indices": (indices, np.array([places]))}
        return statuses(judged(tmp_path, outputs, *TOPK))

    assert of([0.9, 0.5, 0.499], [7, 9, 3]) == ["passed", "passed"]
    assert of([0.9, 0.5, 0.499], [7, 3, 5]) == ["passed", "passed"]
    assert of([0.9, 0.5, 0.499], [3, 7, 9]) == ["failed", "passed"]
    assert of([0.9, 0.5, 0.499], [7, 3, 3]) == ["passed", "failed"]
    assert of([0.9, 0.5, 0.499], [5, 3, 9]) == ["passed", "failed"]
    assert of([0.9, 0.7, 0.499], [7, 3, 9]) == ["failed", "passed"]


def test_argmax_counts_decisions_and_nothing_else(tmp_path: Path) -> None:
    logits = np.float32([[1, 0, 0], [0, 1, 0.999], [0, 0, 1]])
    flipped = logits[:, [0, 2, 1]]
    rule = tolerance("y", match="argmax", margin=0.01)
    assert statuses(judged(tmp_path, {"y": (logits, logits * 3 + 100)}, rule)) == ["passed"]
    result = judged(tmp_path, {"y": (logits, flipped)}, rule)["y"]
    assert (result.status, result.factor) == ("failed", pytest.approx(100.0))
    (check,) = result.checks
    assert check.measured == "1 of 3 differ"
    assert result.measurement is not None
    assert result.measurement.matching is not None
    assert result.measurement.matching.examples == (
        "decision 2: class 2 by a margin of 1, 1 in the candidate",
    )
    assert statuses(
        judged(tmp_path, {"y": (logits, logits * 3)}, tolerance("y", match="argmax", atol=0.1))
    ) == ["failed"]


def test_argmax_without_a_decision_compares_nothing(tmp_path: Path) -> None:
    flat = np.zeros((2, 3), np.float32)
    assert statuses(judged(tmp_path, {"y": (flat, flat)}, tolerance("y", match="argmax"))) == ["failed"]


@pytest.mark.parametrize("broken", [0, 1])
def test_argmax_with_nan_fails(tmp_path: Path, broken: int) -> None:
    sides = [np.float32([[1, 0, 0], [0, 1, 0]]) for _ in range(2)]
    sides[broken][0, 2] = np.nan
    assert statuses(judged(tmp_path, {"y": (sides[0], sides[1])}, tolerance("y", match="argmax"))) == [
        "failed"
    ]


@pytest.mark.parametrize(
    ("rules", "problem"),
    [
        ((tolerance("boxes", match="rows", together=("score",), atol=0.1),), "'score', which is no output"),
        ((tolerance("boxes", match="rows", cosine=0.9),), "its tolerance has none"),
        ((tolerance("boxes", atol=0.1, optional_below=0.1),), "its rows are not matched"),
        (
            (
                tolerance("boxes", match="rows", together=("scores",), atol=0.1),
                tolerance("scores", match="sorted", atol=0.1),
            ),
            "a match of its own",
        ),
        (
            (
                tolerance("boxes", match="rows", together=("scores",), atol=0.1),
                tolerance("labels", match="rows", together=("scores",)),
            ),
            "both with",
        ),
        (
            (
                tolerance("boxes", match="rows", together=("scores",), atol=0.1),
                tolerance("scores", noise_factor=10.0),
            ),
            "another order",
        ),
        ((tolerance("boxes", match="rows", atol=0.1, optional_below=0.1),), "which is the score"),
        ((tolerance("boxes", match="rows", atol=0.1, optional_below=0.1, score_column=4),), "none at 4"),
    ],
)
def test_rules_that_fit_no_outputs_are_errors(
    tmp_path: Path, rules: tuple[Tolerance, ...], problem: str
) -> None:
    with pytest.raises(SpecError, match=problem):
        detections(tmp_path, (BOXES, SCORES, LABELS), tolerance("*"), *rules)


def test_results_survive_json(tmp_path: Path) -> None:
    results = tuple(detections(tmp_path, (BOXES[:3], SCORES[:3], LABELS[:3])).values())
    assert msgspec.json.decode(msgspec.json.encode(results), type=tuple[OutputResult, ...]) == results
