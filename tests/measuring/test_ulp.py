"""Distances in units in the last place."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from support.arrays import bfloat16

from parity.measuring.ulp import greatest_ulp

WITH_SIGN = [
    np.float16,
    np.float32,
    np.float64,
    ml_dtypes.bfloat16,
    ml_dtypes.float8_e4m3fn,
    ml_dtypes.float8_e4m3fnuz,
    ml_dtypes.float8_e5m2,
    ml_dtypes.float8_e5m2fnuz,
    ml_dtypes.float4_e2m1fn,
]


def every_finite(dtype: Any) -> np.ndarray[Any, Any]:
    """All finite values of a narrow dtype, in order, with one zero."""
    size = np.dtype(dtype).itemsize
    count = 16 if dtype is ml_dtypes.float4_e2m1fn else 1 << (8 * size)
    values = np.arange(count, dtype=f"u{size}").view(dtype)
    with np.errstate(invalid="ignore"):  # signalling NaN
        values = values[np.isfinite(values.astype(np.float64))]
    _, first = np.unique(values.astype(np.float64), return_index=True)
    return values[first]


@pytest.mark.parametrize(
    "dtype", [d for d in WITH_SIGN if np.dtype(d).itemsize < 4] + [ml_dtypes.float8_e8m0fnu]
)
def test_neighbours_are_one_apart_over_the_whole_line(dtype: Any) -> None:
    values = every_finite(dtype)
    assert greatest_ulp(values[:-1], values[1:]) == 1.0
    assert greatest_ulp(values[:-1][::-1].copy(), values[1:][::-1].copy()) == 1.0
    assert greatest_ulp(values[:1], values[-1:]) == len(values) - 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_wide_floats(dtype: Any) -> None:
    one, zero = np.ones(1, dtype), np.zeros(1, dtype)
    assert greatest_ulp(one, np.nextafter(one, dtype(2))) == 1.0
    assert greatest_ulp(one, np.nextafter(one, dtype(0))) == 1.0
    above, below = np.nextafter(zero, one), np.nextafter(zero, -one)
    assert greatest_ulp(below, above) == 2.0
    big = np.array([np.finfo(dtype).max])
    bits = np.dtype(dtype).itemsize * 8
    infinity = {32: 0x7F800000, 64: 0x7FF0000000000000}[bits]
    assert greatest_ulp(-big, big) == float(2 * (infinity - 1))


@pytest.mark.parametrize("dtype", [d for d in WITH_SIGN if "fnuz" not in np.dtype(d).name])
def test_both_zeros_are_the_same(dtype: Any) -> None:
    assert greatest_ulp(np.array([0.0], dtype), np.array([-0.0], dtype)) == 0.0


def test_what_is_not_finite_has_no_distance() -> None:
    reference = np.array([np.nan, np.inf, 1.0, np.inf], np.float32)
    candidate = np.array([1.0, 1.0, 1.0, -np.inf], np.float32)
    assert greatest_ulp(reference, candidate) == 0.0


def test_integers_complex_numbers_and_byte_order() -> None:
    assert greatest_ulp(np.array([5], np.uint8), np.array([3], np.uint8)) == 2.0
    one = np.ones(2, np.complex64)
    off = one.copy()
    off.imag[1] = np.nextafter(np.float32(0), np.float32(1))
    assert greatest_ulp(one, off) == 1.0
    assert greatest_ulp(one.astype(">c8"), off.astype(">c8")) == 1.0
    assert greatest_ulp(bfloat16([1.0]), bfloat16([1.0078125])) == 1.0
