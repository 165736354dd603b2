from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import reports as made

from parity.judging.growth import held_against, no_comparison, within_rounding
from parity.records.plan import BaselineFigure, BaselinePlan
from parity.records.results import CaseResult, OutputResult

EPS = 2.0**-23
errors = st.floats(0, 1e3, allow_subnormal=False)


def held(
    now: float,
    before: float | None,
    *,
    noise: float | None = None,
    max_growth: float = 10.0,
    fail: bool = False,
    **changes: Any,
) -> OutputResult:
    """One output with an error of `now` against a baseline of `before`; its elements reach 8.37."""
    changes = {"shape": (4,), "bound": 1e4, **changes}
    case = made.case("model", (made.output("y", now, **changes),))
    figures = {} if before is None else {case.id: {"y": BaselineFigure(before, noise)}}
    plan = BaselinePlan("baseline.json", "/baseline.json", max_growth, fail, figures)
    (output,) = held_against(case, plan).outputs
    return output


def state(now: float, before: float | None, **options: Any) -> str:
    growth = held(now, before, **options).growth
    assert growth is not None
    return growth.state


def test_more_than_the_factor_has_grown_and_the_factor_itself_has_not() -> None:
    assert state(1.0, 0.1) == "kept"
    assert state(1.001, 0.1) == "grown"
    assert state(0.3, 0.1, max_growth=2.0) == "grown"
    growth = held(2.0, 0.1).growth
    assert growth is not None
    assert (growth.before, growth.factor) == (0.1, pytest.approx(20.0))


def test_an_output_that_was_exact_grows_without_bound_but_not_by_rounding() -> None:
    rounding = 8 * EPS * 8.37
    assert state(0.9 * rounding, 0.0) == "rounding"
    assert state(1.1 * rounding, 0.0) == "grown"
    growth = held(1.1 * rounding, 0.0).growth
    assert growth is not None
    assert growth.factor is None
    assert state(0.0, 0.0) == "kept"


def test_a_noise_floor_is_room_for_both_sides_rounding() -> None:
    assert state(2.9e-4, 1e-5, noise=1e-4) == "rounding"
    assert state(3.1e-4, 1e-5, noise=1e-4) == "grown"
    own = made.tolerance(noise_factor=100.0, noise_floor=1e-4)
    assert state(2.9e-4, 1e-5, tolerance=own) == "rounding"


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        ("float16", 8 * 2.0**-10 * 8.37),
        ("bfloat16", 8 * 2.0**-7 * 8.37),
        ("float64", 8 * 2.0**-52 * 8.37),
        ("complex64", 8 * EPS * 8.37),
        ("int8", 1.0),
        ("uint4", 1.0),
        ("bool", 0.0),
        ("string", 0.0),
    ],
)
def test_every_dtype_has_its_own_rounding(dtype: str, expected: float) -> None:
    assert within_rounding(made.output("y", 1.0, dtype=dtype)) == pytest.approx(expected)


def test_of_two_dtypes_the_coarser_one_rounds() -> None:
    output = made.output("y", 1.0, dtype="float16", reference_dtype="float32")
    assert within_rounding(output) == pytest.approx(8 * 2.0**-10 * 8.37)


@given(errors, errors, st.floats(1.5, 100))
def test_growth_is_more_than_the_factor_and_more_than_rounding_and_nothing_else(
    now: float, before: float, allowed: float
) -> None:
    output = held(now, before, max_growth=allowed)
    assert output.growth is not None
    grown = now > allowed * before and now > within_rounding(output)
    assert (output.growth.state == "grown") == grown
    assert output.growth.factor is None or math.isfinite(output.growth.factor)
    assert output.status == "passed"


def test_new_and_unmeasured_outputs_say_so() -> None:
    assert state(1.0, None) == "new"
    case = made.case("model", (made.unmeasured("y", "the shape is another"),))
    plan = BaselinePlan("b", "/b", 10.0, True, {case.id: {"y": BaselineFigure(1e-5)}})
    (output,) = held_against(case, plan).outputs
    assert output.growth is not None
    assert (output.growth.state, output.growth.before) == ("unmeasured", 1e-5)
    assert output.status == "failed"


def test_growth_that_is_to_fail_fails_output_and_case_as_a_criterion_of_its_own() -> None:
    output = held(2.0, 0.1, fail=True)
    assert (output.status, output.factor) == ("failed", pytest.approx(2.0))
    assert [(check.criterion, check.passed) for check in output.checks] == [
        ("atol + rtol", True),
        ("growth", False),
    ]
    assert held(2.0, 0.0, fail=True).factor is None
    assert held(0.5, 0.1, fail=True).status == "passed"
    beyond = held(2.0, 0.1, fail=True, bound=0.5)
    assert (beyond.status, beyond.factor) == ("failed", pytest.approx(4.0))


def test_a_case_without_a_baseline_is_left_as_it_is() -> None:
    case = made.case("model", (made.output("y", 1.0),))
    assert held_against(case, None) is case


def _judged(before: float | None, *, fail: bool) -> tuple[Any, list[CaseResult]]:
    case = made.case("model", (made.output("y", 1e-6),))
    figures = {} if before is None else {case.id: {"y": BaselineFigure(before)}}
    baseline = BaselinePlan("old.json", "/old.json", 10.0, fail, figures)

    class Plan:
        def at(self, key: str) -> str:
            return f"parity.yml:3:1 {key}"

    plan = Plan()
    plan.baseline = baseline  # type: ignore[attr-defined]
    return plan, [held_against(case, baseline)]


def test_a_baseline_of_something_else_can_not_let_growth_pass() -> None:
    problem = no_comparison(*_judged(None, fail=True))
    assert problem is not None
    assert problem.kind == "specification"
    assert "old.json" in problem.message
    assert no_comparison(*_judged(1e-6, fail=True)) is None
    assert no_comparison(*_judged(None, fail=False)) is None
