"""From two tensors on disk to one result."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
from support.arrays import bfloat16, saved_pair, tolerance

from parity.errors import CannotJudge, SpecError
from parity.judging import compare_outputs, judge_output
from parity.pairing import Pair
from parity.records.measurements import Element
from parity.records.results import OutputResult

SPEC = "parity.yml"


def test_a_failed_output_says_all_there_is_to_say(tmp_path: Path) -> None:
    reference = np.full((2, 3), 2.0, np.float32)
    candidate = reference.copy()
    candidate[1, 2] = 2.5
    (result,) = compare_outputs((saved_pair(tmp_path, reference, candidate),), (tolerance(atol=0.01),), SPEC)
    assert (result.status, result.dtype, result.shape) == ("failed", "float32", (2, 3))
    assert (result.max_abs, result.factor) == (0.5, 50.0)
    assert result.measurement is not None
    assert result.measurement.worst == Element(index=(1, 2), reference="2.0", candidate="2.5", abs_error=0.5)
    assert result.measurement.mismatched == 1
    assert result.tolerance is not None
    assert (result.tolerance.atol, result.tolerance.rtol) == (0.01, 0.0)


def test_each_output_has_its_own_rule(tmp_path: Path) -> None:
    pairs = (
        saved_pair(tmp_path, np.ones(3), np.ones(3) + 0.05, "reg"),
        saved_pair(tmp_path, np.ones(3), np.ones(3) + 0.05, "heatmap"),
        saved_pair(tmp_path, bfloat16([1.0]), bfloat16([1.0078125]), "vel"),
        saved_pair(tmp_path, ["a"], ["a"], "label"),
    )
    rules = (tolerance(), tolerance("heatmap", atol=0.1), tolerance("r*", cosine=0.9))
    results = compare_outputs(pairs, rules, SPEC)
    assert [result.status for result in results] == ["passed"] * 4
    assert [result.tolerance.pattern for result in results if result.tolerance] == ["r*", "heatmap", "*", "*"]


def test_the_worst_check_gives_the_factor(tmp_path: Path) -> None:
    pair = saved_pair(tmp_path, np.ones(4), np.ones(4) + 0.5)
    (result,) = compare_outputs((pair,), (tolerance(max_abs=0.25, rms=0.1, cosine=0.5),), SPEC)
    assert [check.passed for check in result.checks] == [False, False, True]
    assert result.factor == pytest.approx(5.0)


def test_without_a_measurement_or_a_tolerance_it_has_failed(tmp_path: Path) -> None:
    pair = saved_pair(tmp_path, np.ones(4), np.ones(4))
    assert judge_output(pair, tolerance(atol=1.0), None).status == "failed"
    assert judge_output(pair, None, None).status == "failed"


def test_a_tensor_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    pair = saved_pair(tmp_path, np.ones(400), np.ones(400))
    assert pair.candidate is not None
    Path(pair.candidate.file).write_bytes(b"\x93NUMPY")
    with pytest.raises(CannotJudge, match="can't be read"):
        compare_outputs((pair,), (tolerance(),), SPEC)


def test_errors_of_the_specification_come_through(tmp_path: Path) -> None:
    pair = saved_pair(tmp_path, np.ones(4), np.ones(4))
    with pytest.raises(SpecError, match=r"parity.yml:3:5: the tolerance pattern 'z' matches no output"):
        compare_outputs((pair,), (tolerance(), tolerance("z")), SPEC)


def test_a_pair_that_lacks_a_side_without_saying_so_has_failed() -> None:
    (result,) = compare_outputs((Pair(name="y"),), (tolerance(),), SPEC)
    assert (result.status, result.problem) == ("failed", "missing in the reference")


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex128"])
def test_results_survive_json(tmp_path: Path, dtype: str) -> None:
    # JSON has no infinity: msgspec would write null, and null passes for "no error" in places.
    reference = np.array([1e38, 0.0, np.nan, np.inf, 1.0], dtype)
    candidate = np.array([-1e38, 1.0, 1.0, np.nan, 1.0], dtype)
    criteria = {"atol": 0.0, "snr_db": 3.0, "cosine": 0.5, "max_abs": 1.0, "rms": 0.0, "ulp": 0.0}
    results = compare_outputs((saved_pair(tmp_path, reference, candidate),), (tolerance(**criteria),), SPEC)
    assert msgspec.json.decode(msgspec.json.encode(results), type=tuple[OutputResult, ...]) == results
