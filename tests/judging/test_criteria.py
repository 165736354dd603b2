"""Each criterion at its limit, just beyond it, and where its figure is undefined."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.arrays import tolerance

from parity.judging import applied
from parity.judging.criteria import elementwise
from parity.measuring import measure
from parity.records.measurements import Check
from parity.registry import CRITERIA, resolve

REFERENCE = np.array([1.0, 2.0, 3.0, 4.0])
CANDIDATE = np.array([1.0, 2.0, 3.0, 4.5])  # max 0.5, mean 0.125, rms 0.25


def checks(reference: Any, candidate: Any, **criteria: Any) -> dict[str, Check]:
    reference, candidate = np.asarray(reference), np.asarray(candidate)
    rule = applied(tolerance("y", **criteria), "y", reference.dtype.name)
    measured = measure(reference, candidate, rule)
    found = [check for name in CRITERIA for check in resolve(CRITERIA[name])(rule, measured)]
    return {check.criterion: check for check in found}


@pytest.mark.parametrize(
    ("criterion", "measured"), [("max_abs", 0.5), ("mean_abs", 0.125), ("rms", 0.25), ("ulp", 2.0**49)]
)
def test_upper_limits(criterion: str, measured: float) -> None:
    (met,) = checks(REFERENCE, CANDIDATE, **{criterion: measured}).values()
    assert (met.criterion, met.passed, met.factor) == (criterion, True, 1.0)
    (unmet,) = checks(REFERENCE, CANDIDATE, **{criterion: measured / 4}).values()
    assert (unmet.passed, unmet.factor) == (False, 4.0)
    (zero,) = checks(REFERENCE, CANDIDATE, **{criterion: 0.0}).values()
    assert (zero.passed, zero.factor) == (False, None)
    (same,) = checks(REFERENCE, REFERENCE, **{criterion: 0.0}).values()
    assert (same.passed, same.factor) == (True, 0.0)


def test_multiples_of_the_noise() -> None:
    (met,) = checks(REFERENCE, CANDIDATE, noise_factor=10.0, noise_floor=0.05).values()
    assert (met.criterion, met.limit, met.measured) == ("noise", "at most 10 x noise = 0.5", "0.5")
    assert (met.passed, met.factor) == (True, 1.0)
    (unmet,) = checks(REFERENCE, CANDIDATE, noise_factor=10.0, noise_floor=0.0125).values()
    assert (unmet.passed, unmet.factor) == (False, 4.0)


def test_no_noise_demands_equality() -> None:
    (unmet,) = checks(REFERENCE, np.nextafter(REFERENCE, 9), noise_factor=1e300, noise_floor=0.0).values()
    assert (unmet.limit, unmet.passed, unmet.factor) == ("at most 1e+300 x noise = 0", False, None)
    (met,) = checks(REFERENCE, REFERENCE, noise_factor=1e300, noise_floor=0.0).values()
    assert (met.passed, met.factor) == (True, 0.0)


@pytest.mark.parametrize("floor", [None, math.nan, math.inf, -1.0, 1e300])
def test_without_a_limit_from_the_noise_not_even_equality_passes(floor: float | None) -> None:
    (unmet,) = checks(REFERENCE, REFERENCE, noise_factor=1e10, noise_floor=floor).values()
    assert (unmet.limit, unmet.passed, unmet.factor) == ("at most 1e+10 x noise = unknown", False, None)


def test_quantiles_have_a_check_each() -> None:
    found = checks(REFERENCE, CANDIDATE, quantile={"0.75": 0.0, "0.76": 0.25})
    assert found["quantile 0.75"].passed
    assert (found["quantile 0.76"].passed, found["quantile 0.76"].factor) == (False, 2.0)


def test_the_bound_on_each_element() -> None:
    found = checks(REFERENCE, CANDIDATE, atol=0.1, rtol=0.1)
    assert found["atol + rtol"].passed
    found = checks(REFERENCE, CANDIDATE, atol=0.25)
    assert found["atol + rtol"] == Check(
        criterion="atol + rtol", limit="atol 0.25", measured="1 of 4 beyond (25 %)", passed=False, factor=2.0
    )


def test_mismatch_replaces_the_bound_on_each_element() -> None:
    assert list(checks(REFERENCE, CANDIDATE, atol=0.1, mismatch=0.25)) == ["mismatch"]
    assert checks(REFERENCE, CANDIDATE, atol=0.1, mismatch=0.25)["mismatch"].passed
    unmet = checks(REFERENCE, CANDIDATE, atol=0.1, mismatch=0.2)["mismatch"]
    assert (unmet.passed, unmet.factor) == (False, 1.25)
    assert checks([], [], mismatch=0.0)["mismatch"].passed


def test_exact() -> None:
    assert checks([0.0], [-0.0], exact=True)["exact"].passed
    unmet = checks(REFERENCE, CANDIDATE, exact=True)["exact"]
    assert (unmet.passed, unmet.factor, unmet.measured) == (False, None, "1 of 4 differ (25 %)")


def test_cosine() -> None:
    assert checks(REFERENCE, CANDIDATE, cosine=0.99)["cosine"].passed
    unmet = checks([1.0, 0.0], [1.0, 1.0], cosine=0.9)["cosine"]
    assert not unmet.passed
    assert unmet.factor == pytest.approx((1 - math.sqrt(0.5)) / 0.1)
    assert not checks([1.0, 0.0], [1.0, 1.0], cosine=1.0)["cosine"].passed


@pytest.mark.parametrize("criterion", ["cosine", "snr_db"])
def test_an_undefined_ratio_passes_only_when_there_is_no_error(criterion: str) -> None:
    assert checks([0.0, 0.0], [0.0, 0.0], **{criterion: 0.5})[criterion].passed
    assert checks([], [], **{criterion: 0.5})[criterion].passed
    unmet = checks([0.0, 0.0], [0.0, 1e-3], **{criterion: -1.0})[criterion]
    assert (unmet.passed, unmet.factor) == (False, None)


def test_snr() -> None:
    assert checks([10.0], [11.0], snr_db=20.0)["snr_db"].passed
    unmet = checks([10.0], [11.0], snr_db=40.0)["snr_db"]
    assert unmet.factor == pytest.approx(10.0)
    assert not checks([1e-300], [1e300], snr_db=0.0)["snr_db"].passed


@pytest.mark.parametrize(
    "criteria", [{"cosine": -1.0}, {"max_abs": 1e9}, {"mismatch": 1.0}, {"atol": 1e9}, {"ulp": 1e30}, {}]
)
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_an_unmatched_nonfinite_value_fails_whatever_the_criterion(
    criteria: dict[str, float], bad: float
) -> None:
    for pair in (([1.0, 2.0], [1.0, bad]), ([1.0, bad], [1.0, 2.0])):
        unmet = checks(*pair, **criteria)["non-finite"]
        assert (unmet.passed, unmet.factor) == (False, None)


def test_a_figure_that_is_missing_fails() -> None:
    rule = tolerance(ulp=1e30, quantile={"0.5": 1e30})
    measured = measure(REFERENCE, CANDIDATE, tolerance())
    for name in ("ulp", "quantile"):
        (unmet,) = resolve(CRITERIA[name])(rule, measured)
        assert (unmet.passed, unmet.factor) == (False, None)


FINITE = st.floats(-1e6, 1e6).map(lambda x: round(x, 3))


@given(
    pairs=st.lists(st.tuples(FINITE, FINITE), min_size=1, max_size=8),
    criterion=st.sampled_from(
        ["max_abs", "mean_abs", "rms", "cosine", "snr_db", "mismatch", "atol", "rtol", "ulp"]
    ),
    limit=st.floats(0, 1) | st.floats(0, 1e6),
)
@settings(max_examples=200, deadline=None)
def test_the_factor_is_above_1_exactly_when_the_check_failed(
    pairs: list[tuple[float, float]], criterion: str, limit: float
) -> None:
    reference, candidate = zip(*pairs, strict=True)
    for check in checks(reference, candidate, **{criterion: limit}).values():
        assert check.passed == (check.factor is not None and check.factor <= 1.0)


def test_no_bound_no_check() -> None:
    assert list(elementwise(tolerance(cosine=0.9), measure(REFERENCE, CANDIDATE, tolerance()))) == []
