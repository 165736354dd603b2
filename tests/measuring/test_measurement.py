"""What a measurement says of layouts, dtypes without arithmetic, extremes and elements that stand out."""

from __future__ import annotations

import math
import tracemalloc
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from support.arrays import bfloat16, small_chunks, tolerance

from parity.artifacts import read_tensor, write_tensor
from parity.measuring import measure, streaming
from parity.records.measurements import Element, Measurement, Nonfinite

NAN, INF = np.nan, np.inf


def of(reference: Any, candidate: Any, dtype: Any = None, **criteria: Any) -> Measurement:
    return measure(np.asarray(reference, dtype), np.asarray(candidate, dtype), tolerance(**criteria))


def test_unsigned_integers_do_not_wrap() -> None:
    assert of([3], [5], np.uint8, atol=0).max_abs == 2.0
    assert of([3], [5], np.uint64, atol=0).max_abs == 2.0


@pytest.mark.parametrize("apart", [1, 5, 5000])
def test_64_bit_integers_are_subtracted_exactly(apart: int) -> None:
    far = 2**62 + 1
    assert of([far], [far + apart], np.int64, atol=apart).mismatched == 0
    assert of([far], [far + apart], np.int64, atol=apart - 1).mismatched == 1


def test_a_difference_that_float64_cannot_hold_is_still_outside_the_bound() -> None:
    measured = of([-(2**53)], [1], np.int64, atol=2.0**53)
    assert measured.mismatched == 1
    assert measured.bound_factor is not None
    assert measured.bound_factor > 1.0


def test_the_whole_range_of_64_bits() -> None:
    low, high = np.iinfo(np.int64).min, np.iinfo(np.int64).max
    assert of([low], [high], np.int64).max_abs == 2.0**64
    assert of([low], [low], np.int64).mismatched == 0


def test_booleans_are_0_and_1() -> None:
    measured = of([True, False, True, True], [True, True, True, False], exact=True)
    assert (measured.mismatched, measured.max_abs, measured.mean_abs) == (2, 1.0, 0.5)
    assert measured.worst == Element(index=(1,), reference="False", candidate="True", abs_error=1.0)


def test_strings_are_equal_or_not() -> None:
    measured = of(["cat", "dog", ""], ["cat", "dot", ""], atol=100.0)
    assert (measured.mismatched, measured.cosine, measured.bound_factor) == (1, None, None)
    assert measured.worst == Element(index=(1,), reference="'dog'", candidate="'dot'", abs_error=1.0)
    assert of(["cat"], ["cat"]).mismatched == 0


def test_complex_errors_are_magnitudes() -> None:
    measured = of([3 + 4j, 1j], [3 + 4j, 3 - 3j], np.complex64, atol=4.9)
    assert (measured.max_abs, measured.mismatched, measured.reference_max_abs) == (5.0, 1, 5.0)
    assert measured.cosine == pytest.approx((25 - 3) / np.sqrt(26 * (25 + 18)))
    assert measured.worst is not None
    assert (measured.worst.reference, measured.worst.candidate) == ("1j", "(3-3j)")


@pytest.mark.parametrize(
    ("reference", "candidate", "equal_nan", "unmet"),
    [
        (complex(INF, 0), complex(INF, 0), False, 0),
        (complex(INF, 1), complex(INF, 0), False, 1),
        (complex(INF, NAN), complex(INF, NAN), False, 1),
        (complex(INF, NAN), complex(INF, NAN), True, 0),
        (complex(1, NAN), complex(2, NAN), True, 1),
    ],
)
def test_complex_numbers_that_are_not_finite(
    reference: complex, candidate: complex, equal_nan: bool, unmet: int
) -> None:
    measured = of([reference, 1], [candidate, 1], np.complex128, equal_nan=equal_nan)
    assert (measured.nonfinite.mismatched, measured.compared) == (unmet, 1)


def test_what_is_not_finite_is_counted_and_kept_out_of_the_figures() -> None:
    reference = np.array([1, NAN, INF, INF, NAN, 2], np.float32)
    candidate = np.array([1, 7, INF, -INF, NAN, 4], np.float32)
    measured = of(reference, candidate, atol=10.0)
    assert measured.nonfinite == Nonfinite(
        reference_nan=2, candidate_nan=1, reference_inf=2, candidate_inf=2, mismatched=3
    )
    assert (measured.compared, measured.max_abs, measured.mean_abs, measured.mismatched) == (2, 2.0, 1.0, 3)
    assert measured.worst == Element(index=(1,), reference="nan", candidate="7.0", abs_error=None)
    assert measured.largest == Element(index=(5,), reference="2.0", candidate="4.0", abs_error=2.0)
    assert of(reference, candidate, atol=10.0, equal_nan=True).nonfinite.mismatched == 2


def test_nothing_finite_at_all() -> None:
    measured = of([NAN, NAN], [NAN, NAN], np.float16, equal_nan=True)
    assert (measured.compared, measured.mismatched, measured.max_abs, measured.bound_factor) == (
        0,
        0,
        0.0,
        0.0,
    )
    assert measured.largest == Element(index=(0,), reference="nan", candidate="nan", abs_error=None)


@pytest.mark.parametrize("dtype", ["float32", "int64", "bool", "complex64", "str"])
def test_empty_tensors(dtype: str) -> None:
    empty = np.empty((0, 7), dtype)
    measured = measure(empty, empty, tolerance(ulp=1, quantile={"0.5": 1.0}))
    assert (measured.elements, measured.mismatched, measured.bound_factor) == (0, 0, 0.0)
    assert (measured.largest, measured.worst, measured.cosine, measured.snr_db) == (None, None, None, None)


def test_a_scalar_has_an_index_of_no_axes() -> None:
    measured = of(np.float32(1), np.float32(1.5))
    assert measured.largest == Element(index=(), reference="1.0", candidate="1.5", abs_error=0.5)


def test_memory_order_and_byte_order_do_not_matter() -> None:
    rng = np.random.default_rng(0)
    reference = rng.standard_normal((6, 5, 4)).astype(np.float32)
    candidate = reference + rng.standard_normal((6, 5, 4)).astype(np.float32)
    plain = measure(reference, candidate, tolerance(atol=0.1, ulp=1))
    with small_chunks(chunk=7):
        for change in (
            np.asfortranarray,
            lambda array: array.astype(">f4"),
            lambda array: np.repeat(array, 2, axis=1)[:, ::2],
        ):
            changed = measure(change(reference), change(candidate), tolerance(atol=0.1, ulp=1))
            assert (changed.worst, changed.largest, changed.ulp) == (plain.worst, plain.largest, plain.ulp)
            assert changed.rms == pytest.approx(plain.rms)
        mixed = measure(reference, candidate.astype(">f4"), tolerance(atol=0.1, ulp=1))
        assert (mixed.worst, mixed.ulp) == (plain.worst, plain.ulp)


@pytest.mark.parametrize("value", [1e300, 1e-300, 1.7e308, 1e-320])
def test_squares_neither_overflow_nor_vanish(value: float) -> None:
    measured = of([value, value], [value, -value])
    assert measured.cosine == pytest.approx(0.0, abs=1e-15)
    assert measured.rms == pytest.approx(min(value * math.sqrt(2), np.finfo(float).max), rel=1e-3)
    assert measured.snr_db == pytest.approx(10 * np.log10(0.5), rel=1e-9)


def test_a_minute_error_beside_ordinary_numbers_is_not_lost() -> None:
    measured = of([1.0, 1e-170], [1.0, 2e-170])
    assert measured.rms == pytest.approx(math.sqrt(0.5) * 1e-170, rel=1e-12, abs=0.0)
    assert measured.snr_db == pytest.approx(3400.0)


def test_an_error_beyond_float64_saturates_and_is_still_judged() -> None:
    measured = of([1e308, 0.0], [-1.7e308, 5e-324], atol=0.0, rtol=2.5)
    assert (measured.max_abs, measured.mismatched) == (np.finfo(float).max, 2)
    assert of([1e308], [-1.7e308], atol=0.0, rtol=2.8).mismatched == 0


def test_the_smallest_difference_beside_a_huge_number_is_seen() -> None:
    assert of([1.7e308, 1e-323], [1.7e308, 5e-324], exact=True).mismatched == 1


def test_cosine_and_snr_are_undefined_where_one_side_is_all_zeros() -> None:
    measured = of([0.0, 0.0], [1.0, 2.0])
    assert (measured.cosine, measured.snr_db, measured.max_abs) == (None, None, 2.0)
    same = of([1.0, 2.0], [1.0, 2.0])
    assert (same.cosine, same.snr_db) == (1.0, None)


def test_a_candidate_that_nearly_vanishes_keeps_its_direction() -> None:
    assert of([3.0, 4.0], [3e-12, 4e-12]).cosine == pytest.approx(1.0)
    assert of([3.0, 4.0], [3e-200, 4e-200]).cosine == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (np.array([0.1], np.float32), "0.1"),
        (np.array([0.1], np.float16), "0.1"),
        (np.array([0.1], np.float64), "0.1"),
        (bfloat16([0.1]), "0.10009765625"),
        (np.array([0.1], ml_dtypes.float8_e4m3fn), "0.1015625"),
        (np.array([2**63 + 1], np.uint64), "9223372036854775809"),
        (np.array([-3], ml_dtypes.int4), "-3"),
        (np.array([-0.0], np.float32), "-0.0"),
    ],
)
def test_values_are_told_so_that_they_can_be_read_back(array: np.ndarray[Any, Any], text: str) -> None:
    measured = measure(array, array, tolerance())
    assert measured.largest is not None
    assert measured.largest.reference == text


def test_default_bound_of_the_dtype_counts_where_none_is_given() -> None:
    reference, candidate = np.ones(2, np.float16), np.array([1.0, 1.01], np.float16)
    assert of(reference, candidate, cosine=0.9).mismatched == 1
    assert of(reference.astype(np.float32), reference.astype(np.float32) + 2e-5, cosine=0.9).mismatched == 2


def test_tensors_mapped_from_files(tmp_path: Path) -> None:
    reference = bfloat16(np.linspace(-3, 3, 1000).reshape(10, 100))
    record = write_tensor(tmp_path, "y", reference)
    measured = measure(read_tensor(record), read_tensor(record), tolerance(ulp=0))
    assert (measured.mismatched, measured.ulp, measured.elements) == (0, 0.0, 1000)


@pytest.mark.parametrize("criteria", [{}, {"ulp": 1.0, "quantile": {"0.99": 1.0}}])
def test_extra_memory_stays_below_a_tenth_of_the_tensors(criteria: dict[str, Any]) -> None:
    reference = np.random.default_rng(0).standard_normal(16_000_000, np.float32)
    candidate = reference + np.float32(1e-6)
    tracemalloc.start()
    try:
        with small_chunks(streaming.CHUNK, streaming.BLOCK // streaming.CHUNK, cores=2):
            measure(reference, candidate, tolerance(**criteria))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 0.1 * (reference.nbytes + candidate.nbytes)
