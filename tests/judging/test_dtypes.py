"""Two float dtypes: a failure, or compared by value when the tolerance says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.arrays import bfloat16, saved_pair, tolerance

from parity.judging import compare_outputs
from parity.judging.dtypes import coarser
from parity.records.results import OutputResult

F32 = np.float32


def judged(root: Path, reference: Any, candidate: Any, **rule: Any) -> OutputResult:
    (result,) = compare_outputs((saved_pair(root, reference, candidate),), (tolerance(**rule),), "parity.yml")
    return result


@pytest.mark.parametrize(
    ("reference", "candidate"),
    [
        (F32([1, 2]), np.float16([1, 2])),
        (np.float16([1, 2]), F32([1, 2])),
        (F32([1, 2]), bfloat16([1, 2])),
        (np.float16([1, 2]), bfloat16([1, 2])),
        (np.float64([1, 2]), bfloat16([1, 2])),
    ],
)
def test_floats_are_compared_by_value_when_that_is_asked_for(
    tmp_path: Path, reference: Any, candidate: Any
) -> None:
    result = judged(tmp_path, reference, candidate, atol=0, dtype="any")
    assert (result.status, result.max_abs) == ("passed", 0.0)
    assert result.reference_dtype not in {"", result.dtype}
    assert judged(tmp_path, reference, candidate, atol=9.0).status == "failed"


def test_a_difference_is_measured_in_a_type_that_holds_both(tmp_path: Path) -> None:
    result = judged(tmp_path, F32([1.0, 70000.0]), np.float16([1.0009766, 65504]), atol=1e-3, dtype="any")
    assert result.status == "failed"
    assert result.max_abs == 70000.0 - 65504.0
    assert result.measurement is not None
    assert result.measurement.mismatched == 1


def test_a_number_that_overflows_has_failed(tmp_path: Path) -> None:
    with np.errstate(over="ignore"):
        narrow = F32([1e6]).astype(np.float16)
    assert judged(tmp_path, F32([1e6]), narrow, atol=1e9, dtype="any").status == "failed"


@pytest.mark.parametrize(
    ("reference", "candidate"),
    [
        (F32([1]), np.int32([1])),
        (np.int64([1]), np.int32([1])),
        (F32([1]), np.complex64([1])),
        (F32([1]), np.array(["1"])),
        (np.bool_([True]), F32([1])),
    ],
)
def test_other_dtypes_fail_all_the_same(tmp_path: Path, reference: Any, candidate: Any) -> None:
    result = judged(tmp_path, reference, candidate, atol=9.0, dtype="any")
    assert (result.status, result.measurement) == ("failed", None)
    assert "the reference is" in result.problem


def test_the_defaults_are_those_of_the_coarser(tmp_path: Path) -> None:
    result = judged(tmp_path, F32([1.0]), bfloat16([1.0078125]), dtype="any")
    assert result.status == "passed"
    assert result.tolerance is not None
    assert (result.tolerance.atol, result.tolerance.rtol) == (1e-5, 1.6e-2)
    assert [coarser("float32", "float16"), coarser("bfloat16", "float64")] == ["float16", "bfloat16"]
