"""Tolerances in multiples of the noise floor: which floor, and what there is without one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.arrays import saved_pair, tolerance

from parity.artifacts import Array
from parity.errors import SpecError
from parity.judging import Floors, applied, compare_outputs
from parity.records.results import OutputResult

REFERENCE = np.linspace(-4, 4, 9, dtype=np.float32)
OFF = REFERENCE + np.float32(0.5)


def judged(
    folder: Path, floors: Floors, candidate: Array = OFF, reference: Array = REFERENCE, **criteria: Any
) -> OutputResult:
    """The one output y, whose error is 0.5, judged by 10 times its noise floor."""
    rule = tolerance(**{"noise_factor": 10.0, **criteria})
    (result,) = compare_outputs((saved_pair(folder, reference, candidate),), (rule,), "parity.yml", floors)
    return result


def test_the_floor_is_that_of_the_references_tensor(tmp_path: Path) -> None:
    pair = saved_pair(tmp_path, REFERENCE, OFF, "y")
    assert pair.reference is not None
    (result,) = compare_outputs(
        (pair,), (tolerance(noise_factor=10.0),), "parity.yml", {pair.reference.name: 0.1, "other": 9.0}
    )
    assert result.status == "passed"
    assert result.tolerance is not None
    assert (result.tolerance.noise_factor, result.tolerance.noise_floor) == (10.0, 0.1)
    assert result.factor == pytest.approx(0.5)


def test_alone_it_adds_no_bound_on_each_element(tmp_path: Path) -> None:
    result = judged(tmp_path, {"y": 0.1})
    assert [check.criterion for check in result.checks] == ["noise"]


def test_beyond_it_the_output_has_failed(tmp_path: Path) -> None:
    result = judged(tmp_path, {"y": 0.01})
    assert (result.status, result.factor) == ("failed", pytest.approx(5.0))


def test_beside_other_criteria_each_must_hold(tmp_path: Path) -> None:
    assert judged(tmp_path, {"y": 0.1}, atol=1.0).status == "passed"
    assert judged(tmp_path, {"y": 0.1}, atol=0.1).status == "failed"
    assert judged(tmp_path, {"y": 0.01}, atol=1.0).status == "failed"


@pytest.mark.parametrize("floors", [{"y": "it draws random numbers"}, "the process was killed", {}])
def test_without_a_floor_it_is_not_judged_and_says_why(tmp_path: Path, floors: Floors) -> None:
    for criteria in ({}, {"atol": 1.0}):
        result = judged(tmp_path, floors, REFERENCE, **criteria)  # not even equality is a pass
        assert result.status == "error"
        reason = floors or "it was not asked for"
        assert (reason if isinstance(reason, str) else reason["y"]) in result.problem
        assert result.checks == ()


def test_without_a_floor_what_fails_anyway_has_failed(tmp_path: Path) -> None:
    result = judged(tmp_path, "no floor", atol=0.1)
    assert (result.status, result.factor) == ("failed", pytest.approx(5.0))
    assert "no floor" in result.problem
    broken = OFF.copy()
    broken[3] = np.nan
    assert judged(tmp_path, "no floor", broken).status == "failed"


def test_what_is_not_finite_fails_under_any_floor(tmp_path: Path) -> None:
    broken = REFERENCE.copy()
    broken[3] = np.inf
    assert judged(tmp_path, {"y": 0.1}, broken).status == "failed"


def test_a_floor_of_zero_demands_equality(tmp_path: Path) -> None:
    assert judged(tmp_path, {"y": 0.0}, REFERENCE).status == "passed"
    assert judged(tmp_path, {"y": 0.0}, np.nextafter(REFERENCE, np.float32(9))).status == "failed"
    zeros = np.zeros(9, np.float32)
    assert judged(tmp_path, {"y": 0.0}, zeros, zeros).status == "passed"


@pytest.mark.parametrize("floor", [float("nan"), float("inf"), 1e308])
def test_a_floor_that_makes_no_limit_is_no_pass(tmp_path: Path, floor: float) -> None:
    result = judged(tmp_path, {"y": floor}, REFERENCE)
    assert (result.status, result.checks) == ("error", ())
    assert "is no limit" in result.problem


def test_a_limit_that_zeros_would_meet_judges_nothing(tmp_path: Path) -> None:
    zeros = np.zeros(9, np.float32)
    result = judged(tmp_path, {"y": 0.4}, zeros)  # 10 x 0.4 is the greatest element
    assert result.status == "error"
    assert "would let zeros pass" in result.problem
    assert judged(tmp_path, {"y": 0.39}, zeros).status == "failed"


def test_a_limit_that_zeros_would_meet_is_no_matter_beside_another_criterion(tmp_path: Path) -> None:
    assert judged(tmp_path, {"y": 0.4}, atol=1.0).status == "passed"
    assert judged(tmp_path, {"y": 0.4}, atol=0.1).status == "failed"
    assert judged(tmp_path, {"y": 0.4}, REFERENCE + np.float32(5)).status == "failed"


def test_what_nothing_rounds_has_no_noise() -> None:
    rule = tolerance("labels", noise_factor=10.0)
    for dtype in ("int64", "bool"):
        with pytest.raises(SpecError, match=rf"3:5: output 'labels' is {dtype}, .* no noise"):
            applied(rule, "labels", dtype, "parity.yml")
    with pytest.raises(SpecError, match="strings, which have no noise_factor"):
        applied(rule, "labels", "string", "parity.yml")


def test_a_wildcard_leaves_labels_exact() -> None:
    rule = applied(tolerance(noise_factor=10.0), "labels", "int64")
    assert (rule.exact, rule.noise_factor) == (True, None)


def test_an_empty_output_has_no_noise_and_no_error(tmp_path: Path) -> None:
    empty = np.zeros((0, 4), np.float32)
    assert judged(tmp_path, {"y": 0.0}, empty, empty).status == "passed"
