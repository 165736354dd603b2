"""Passes that other comparison tools were seen to give without a word. Here each one fails, and says why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.arrays import bfloat16, saved_pair, tolerance

from parity.errors import SpecError
from parity.judging import compare_outputs
from parity.pairing import pair, pair_by_name
from parity.records.measurements import Tolerance
from parity.records.results import OutputResult
from parity.records.tensors import TensorRecord, ValueInfo

SPEC = "parity.yml"
LOOSE = tolerance(atol=1e6, rtol=1e6)
F32 = np.float32


def judged(directory: Path, reference: Any, candidate: Any, rule: Tolerance) -> OutputResult:
    (result,) = compare_outputs((saved_pair(directory, reference, candidate),), (rule,), SPEC)
    return result


@pytest.mark.parametrize(
    ("reference", "candidate"),
    [
        ([1, np.nan], [1, 2]),
        ([1, 2], [1, np.nan]),
        ([1, np.nan], [1, np.nan]),
        ([1, np.inf], [1, 2]),
        ([1, np.inf], [1, -np.inf]),
        ([1, 2], [1, np.inf]),
        ([1, np.inf], [1, np.nan]),
    ],
)
@pytest.mark.parametrize("convert", [F32, np.float16, bfloat16, np.complex64])
def test_nan_and_infinity_never_pass_for_a_number(
    tmp_path: Path, reference: list[float], candidate: list[float], convert: Any
) -> None:
    reference, candidate = (convert(np.array(side)) for side in (reference, candidate))
    result = judged(tmp_path, reference, candidate, LOOSE)
    assert result.status == "failed"
    assert result.factor is None
    assert "NaN or infinite" in result.problem


def test_only_equal_nan_lets_nan_meet_nan_and_an_infinity_always_meets_its_equal(tmp_path: Path) -> None:
    both = F32([np.nan, np.inf, -np.inf])
    assert judged(tmp_path, both, both, tolerance()).status == "failed"
    assert judged(tmp_path, both, both, tolerance(equal_nan=True)).status == "passed"
    assert judged(tmp_path, both[1:], both[1:], tolerance()).status == "passed"


def test_nan_passes_no_criterion(tmp_path: Path) -> None:
    every = tolerance(
        max_abs=1e9,
        mean_abs=1e9,
        rms=1e9,
        cosine=-1.0,
        snr_db=-1e9,
        ulp=1e30,
        quantile={"1": 1e9},
        mismatch=1.0,
    )
    assert judged(tmp_path, F32([1, 2]), F32([1, 2]), every).status == "passed"
    assert judged(tmp_path, F32([1, 2]), F32([1, np.nan]), every).status == "failed"


def test_a_missing_output_is_not_skipped(tmp_path: Path) -> None:
    whole = saved_pair(tmp_path, F32([1]), F32([1]), "a")
    assert whole.reference is not None
    assert whole.candidate is not None
    lost = saved_pair(tmp_path, F32([1]), F32([1]), "b").reference
    assert lost is not None
    outputs = (ValueInfo(name="a", dtype="float32", shape=(1,)),)
    for pairs in (
        pair(outputs, (whole.reference, lost), (whole.candidate,), {}),
        pair_by_name((whole.reference, lost), (whole.candidate,)),
    ):
        first, second = compare_outputs(pairs, (tolerance("a"),), SPEC)
        assert (first.status, second.status) == ("passed", "failed")
        assert second.problem.startswith("missing in the candidate")


def test_an_output_that_the_reference_lacks_is_not_skipped(tmp_path: Path) -> None:
    whole = saved_pair(tmp_path, F32([1]), F32([1]), "a")
    assert whole.candidate is not None
    extra = TensorRecord(name="b", dtype="float32", shape=(1,), file=whole.candidate.file)
    assert whole.reference is not None
    pairs = pair_by_name((whole.reference,), (whole.candidate, extra))
    assert [result.status for result in compare_outputs(pairs, (LOOSE,), SPEC)] == ["passed", "failed"]


@pytest.mark.parametrize(
    ("reference", "candidate", "problem"),
    [
        (F32([1]), np.float16([1]), "the reference is float32, the candidate float16"),
        (F32([1]), np.float64([1]), "the reference is float32, the candidate float64"),
        (np.float16([1]), bfloat16([1]), "the reference is float16, the candidate bfloat16"),
        (np.int64([1]), np.int32([1]), "the reference is int64, the candidate int32"),
        (np.uint8([1]), np.bool_([True]), "the reference is uint8, the candidate bool"),
        (F32([1]), np.array(["1"]), "the reference is float32, the candidate string"),
    ],
)
def test_another_dtype_fails(tmp_path: Path, reference: Any, candidate: Any, problem: str) -> None:
    result = judged(tmp_path, reference, candidate, LOOSE)
    assert (result.status, result.problem, result.measurement) == ("failed", problem, None)


@pytest.mark.parametrize(
    ("reference", "candidate"),
    [
        ((1, 4), (4,)),
        ((4,), (1, 4)),
        ((4, 1), (4, 4)),
        ((), (1,)),
        ((2, 3), (3, 2)),
        ((0, 4), (0, 5)),
        ((0,), (1,)),
    ],
)
def test_shapes_do_not_broadcast(
    tmp_path: Path, reference: tuple[int, ...], candidate: tuple[int, ...]
) -> None:
    result = judged(tmp_path, np.ones(reference, F32), np.ones(candidate, F32), LOOSE)
    assert result.status == "failed"
    assert result.problem == f"the reference has the shape {list(reference)}, the candidate {list(candidate)}"


def test_integers_get_no_rtol_from_a_wildcard(tmp_path: Path) -> None:
    reference, candidate = np.int64([10**9]), np.int64([10**9 + 5000])
    result = judged(tmp_path, reference, candidate, tolerance(rtol=1e-5, atol=1e-5))
    assert (result.status, result.max_abs) == ("failed", 5000.0)
    assert judged(tmp_path, reference, candidate, tolerance("y", rtol=1e-5)).status == "passed"
    assert judged(tmp_path, reference, candidate, tolerance(rtol=1e-5, exact=False)).status == "passed"


def test_integers_beyond_float64_are_told_apart(tmp_path: Path) -> None:
    reference, candidate = np.int64([2**53]), np.int64([2**53 + 1])
    assert judged(tmp_path, reference, candidate, LOOSE).status == "failed"


def test_booleans_that_differ_fail(tmp_path: Path) -> None:
    assert judged(tmp_path, np.array([True, False]), np.array([True, True]), LOOSE).status == "failed"


def test_unsigned_integers_do_not_wrap(tmp_path: Path) -> None:
    result = judged(tmp_path, np.uint8([3]), np.uint8([5]), tolerance("y", atol=1))
    assert (result.status, result.max_abs, result.factor) == ("failed", 2.0, 2.0)
    assert judged(tmp_path, np.uint8([3]), np.uint8([5]), tolerance("y", atol=2)).status == "passed"


def test_strings_that_differ_fail_under_any_number(tmp_path: Path) -> None:
    assert judged(tmp_path, np.array(["cat"]), np.array(["dog"]), LOOSE).status == "failed"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (0.9e-3, "passed"),
        (1.5e-3, "passed"),  # beyond atol alone and beyond rtol alone, within their sum
        (2.1e-3, "failed"),
    ],
)
def test_the_bound_is_the_sum_of_both_tolerances(tmp_path: Path, error: float, status: str) -> None:
    rule = tolerance(atol=1e-3, rtol=1e-3)
    assert judged(tmp_path, np.float64([1.0]), np.float64([1.0 + error]), rule).status == status
    assert judged(tmp_path, np.float64([-1.0]), np.float64([-1.0 - error]), rule).status == status


def test_rtol_is_of_the_reference(tmp_path: Path) -> None:
    small, large = np.float64([1.0]), np.float64([2.0])
    assert judged(tmp_path, large, small, tolerance(rtol=0.5)).status == "passed"
    assert judged(tmp_path, small, large, tolerance(rtol=0.5)).status == "failed"


def test_a_single_element_among_many_is_seen(tmp_path: Path) -> None:
    reference = np.zeros(300_000, F32)
    candidate = reference.copy()
    candidate[298_765] = 1e-3
    result = judged(tmp_path, reference, candidate, tolerance(atol=1e-4))
    assert (result.status, result.measurement and result.measurement.worst.index) == ("failed", (298_765,))


def test_nothing_compared_is_no_pass() -> None:
    assert compare_outputs((), (), SPEC) == ()
    with pytest.raises(SpecError, match="matches no output"):
        compare_outputs((), (LOOSE,), SPEC)


def test_an_output_without_a_tolerance_is_no_pass(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no tolerance pattern matches the output 'y'"):
        compare_outputs((saved_pair(tmp_path, F32([1]), F32([1])),), (), SPEC)
