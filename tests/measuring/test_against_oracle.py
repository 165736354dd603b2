"""Every figure of every dtype, against plain arithmetic in fractions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.arrays import FLOATS, INTEGERS, oracle, pairs_of_arrays, rounded, small_chunks, tolerance

from parity.artifacts import Array
from parity.measuring import measure

SMALLEST = 5e-324  # figures below float64's normal range keep few digits
BOUNDS = st.sampled_from([(0.0, 0.0), (1.0, 0.0), (0.0, 0.5), (1e-3, 1e-2), (1e-300, 0.0), (1e300, 4.0)])


def close(value: Any) -> Any:
    return pytest.approx(float(value), rel=1e-12, abs=SMALLEST * 4)


@pytest.mark.parametrize("dtype", [*FLOATS, *INTEGERS])
@given(data=st.data(), bound=BOUNDS, equal_nan=st.booleans())
@settings(max_examples=60, deadline=None)
def test_every_figure(dtype: str, data: st.DataObject, bound: tuple[float, float], equal_nan: bool) -> None:
    arrays = data.draw(pairs_of_arrays(dtype))
    with small_chunks():
        check(*arrays, bound, equal_nan)


def check(reference: Array, candidate: Array, bound: tuple[float, float], equal_nan: bool) -> None:
    atol, rtol = bound
    measured = measure(reference, candidate, tolerance(atol=atol, rtol=rtol, equal_nan=equal_nan))
    expected = oracle(reference, candidate, atol, rtol, equal_nan)

    assert (measured.elements, measured.compared) == (reference.size, expected.compared)
    assert measured.mismatched == expected.mismatched
    assert measured.nonfinite.mismatched == expected.unmet
    assert (measured.bound_factor is None) == (expected.infinite or expected.unmet > 0)
    if measured.bound_factor is not None:
        assert measured.bound_factor == close(expected.factor)
        assert (measured.bound_factor > 1.0) == (measured.mismatched > 0)
    if expected.compared:
        # 64-bit integers are rounded up where float64 can't hold their difference.
        greatest = rounded(max(expected.errors))
        assert measured.max_abs in (greatest, math.nextafter(greatest, math.inf))
        assert measured.mean_abs == close(min(sum(expected.errors) / expected.compared, 2**1024 - 2**971))
        assert measured.rms == close(min(expected.rms, np.finfo(np.float64).max))
    assert (measured.cosine is None) == (expected.cosine is None)
    if measured.cosine is not None:
        assert measured.cosine == pytest.approx(expected.cosine, rel=1e-12, abs=1e-14)
    assert (measured.snr_db is None) == (expected.snr_db is None)
    if measured.snr_db is not None:
        assert measured.snr_db == pytest.approx(expected.snr_db, rel=1e-12, abs=1e-9)


@given(data=st.data(), dtype=st.sampled_from(FLOATS + INTEGERS))
@settings(max_examples=60, deadline=None)
def test_chunks_and_threads_change_nothing(data: st.DataObject, dtype: str) -> None:
    arrays = data.draw(pairs_of_arrays(dtype))
    rule = tolerance(atol=1e-3, rtol=1e-3, ulp=1.0, quantile={"0.9": 1.0})
    whole = measure(*arrays, rule)
    with small_chunks(chunk=3):
        chunked = measure(*arrays, rule)
    assert (chunked.largest, chunked.worst, chunked.ulp) == (whole.largest, whole.worst, whole.ulp)
    assert (chunked.mismatched, chunked.nonfinite) == (whole.mismatched, whole.nonfinite)
    assert chunked.quantile == whole.quantile


@given(data=st.data(), dtype=st.sampled_from(FLOATS + INTEGERS))
@settings(max_examples=60, deadline=None)
def test_quantile_is_an_order_statistic(data: st.DataObject, dtype: str) -> None:
    reference, candidate = data.draw(pairs_of_arrays(dtype))
    shares = ("0", "0.5", "0.9", "0.999", "1")
    with small_chunks():
        measured = measure(reference, candidate, tolerance(quantile=dict.fromkeys(shares, 1.0)))
    errors = sorted(rounded(error) for error in oracle(reference, candidate, 0.0, 0.0).errors)
    for share in shares:
        rank = max(1, math.ceil(len(errors) * round(float(share) * 1000) / 1000 - 1e-9))
        expected = errors[rank - 1] if errors else 0.0
        assert measured.quantile[share] in (expected, math.nextafter(expected, math.inf))
