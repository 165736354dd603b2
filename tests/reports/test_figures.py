from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.reports import tolerance

from parity.reports import figures


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0.0, "0"),
        (2.374791, "2.37"),
        (2.4, "2.40"),
        (0.050674, "0.0507"),
        (0.001, "0.00100"),
        (0.0004988, "4.99e-4"),
        (4.988e-05, "4.99e-5"),
        (237.4, "237"),
        (999.7, "1000"),
        (12345.6, "12346"),
        (1.5e7, "1.50e7"),
        (-0.25, "-0.250"),
    ],
)
def test_numbers_have_three_significant_digits(value: float | None, text: str) -> None:
    assert figures.number(value) == text


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=1e-300, max_value=1e300))
def test_a_number_reads_back_to_within_its_digits(value: float) -> None:
    assert float(figures.number(value)) == pytest.approx(value, rel=6e-3)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e-4, "1e-4"),
        (1.3e-6, "1.3e-6"),
        (0.01, "0.01"),
        (0.0, "0"),
        (10.0, "10"),
        (0.9999, "0.9999"),
        (2e6, "2e6"),
    ],
)
def test_a_limit_reads_as_it_was_written(value: float, text: str) -> None:
    assert figures.limit(value) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_limit_is_exact(value: float) -> None:
    assert float(figures.limit(value)) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "∞"),
        (0.0, "0.00 x"),
        (0.001, "< 0.01 x"),
        (0.12, "0.12 x"),
        (0.9999, "0.99 x"),
        (1.0, "1.00 x"),
        (1.0000001, "1.01 x"),
        (3.456, "3.46 x"),
        (20.1, "20.1 x"),
        (23747.91, "23,748 x"),
        (5e8, "5.00e8 x"),
    ],
)
def test_a_factor_beside_one_tells_the_side(value: float | None, text: str) -> None:
    assert figures.factor(value) == text


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (0, 10, "0 %"),
        (1, 10**9, "< 0.01 %"),
        (48_211, 81_920, "58.9 %"),
        (10**9 - 1, 10**9, "> 99.9 %"),
        (7, 7, "100 %"),
        (0, 0, "0 %"),
    ],
)
def test_a_share_is_never_rounded_to_none_or_all(part: int, whole: int, text: str) -> None:
    assert figures.share(part, whole) == text


@pytest.mark.parametrize(
    ("part", "rest", "text"),
    [
        (0.147, 1.33e-4, "> 99.9 %"),
        (0.02, 5.2e-4, "97.5 %"),
        (1.0, 1e-30, "> 99.9 %"),
        (1e-30, 1.0, "< 0.01 %"),
        (0.0, 1.0, "0 %"),
        (1.0, 0.0, "100 %"),
        (0.0, 0.0, "0 %"),
    ],
)
def test_a_share_of_sizes_is_never_rounded_to_none_or_all(part: float, rest: float, text: str) -> None:
    assert figures.percent(part, rest) == text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(0.147, 1.13e-4, "1,301 x"), (0.0, 1.0, "0.00 x"), (1e308, 1e-308, "1.80e308 x")],
)
def test_times(value: float, unit: float, text: str) -> None:
    assert figures.times(value, unit) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0.0 s"), (6.21, "6.2 s"), (48.4, "48 s"), (59.7, "1 min 0 s"), (200.0, "3 min 20 s")],
)
def test_seconds(value: float, text: str) -> None:
    assert figures.seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(None, "-"), (12, "12 B"), (2048, "2.00 KiB"), (1_342_177_280, "1.25 GiB")]
)
def test_sizes(value: int | None, text: str) -> None:
    assert figures.size(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(1.0, "1"), (0.99981, "0.99981"), (1 - 1e-9, "> 0.999999"), (None, "-")]
)
def test_a_cosine_below_one_does_not_read_as_one(value: float | None, text: str) -> None:
    assert figures.cosine(value) == text


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "atol 1e-4, rtol 1e-4"),
        ({"rtol": 0.0}, "atol 1e-4"),
        ({"atol": 0.0, "rtol": 0.0}, "atol 0"),
        ({"exact": True}, "exact"),
        ({"atol": None, "rtol": None, "cosine": 0.999, "snr_db": 60.0}, "cosine ≥ 0.999, snr ≥ 60 dB"),
        ({"rtol": 0.0, "mismatch": 0.07, "equal_nan": True}, "atol 1e-4, mismatch ≤ 7 %, equal NaN"),
        (
            {"atol": None, "rtol": None, "max_abs": 0.1, "mean_abs": 1e-3, "rms": 0.01, "ulp": 4.0},
            "max ≤ 0.1, mean ≤ 0.001, rms ≤ 0.01, ulp ≤ 4",
        ),
        ({"rtol": 0.0, "noise_factor": 10.0, "noise_floor": 6.8e-5}, "atol 1e-4, 10 x noise = 6.80e-4"),
        ({"atol": None, "rtol": None, "noise_factor": 2.5}, "2.5 x noise"),
        ({"atol": None, "rtol": None, "noise_factor": 10.0, "noise_floor": 0.0}, "10 x noise = 0"),
        ({"atol": None, "rtol": None, "quantile": {"0.999": 0.01}}, "q0.999 ≤ 0.01"),
        ({"atol": None, "rtol": None, "quantile": {"<b>": 0.01, "nan": 1.0}}, "q? ≤ 0.01, qNaN ≤ 1"),
    ],
)
def test_a_tolerance_names_every_criterion(changes: dict[str, object], text: str) -> None:
    assert figures.tolerance(tolerance(**changes)) == text
