"""Which rule an output gets, and what it comes to for a dtype."""

from __future__ import annotations

import pytest
from support.arrays import FLOATS, INTEGERS, tolerance

from parity.errors import SpecError
from parity.judging import applied, resolve_tolerances
from parity.measuring import default_bound
from parity.records.measurements import Tolerance


@pytest.mark.parametrize(
    ("name", "patterns", "winner"),
    [
        ("heatmap", ["*", "heatmap", "heat*"], "heatmap"),
        ("heatmap", ["heat*", "*map", "*"], "heat*"),
        ("reg", ["*", "r*"], "r*"),
        ("reg", ["r*", "*"], "r*"),
        ("reg", ["r*g", "re*"], "re*"),  # as literal, and the later one
        ("reg", ["re*", "r*g"], "r*g"),
        ("reg_1", ["reg_?", "reg_*", "*g_*"], "reg_*"),
        ("abc", ["a*c*", "a*c"], "a*c"),  # fewer wildcards
        ("abc", ["a*c", "a*c*"], "a*c"),
        ("abc", ["[abc]bc", "*"], "[abc]bc"),
        ("boxes[0]", ["boxes*", "boxes[0]"], "boxes[0]"),  # the very name, although it looks like a pattern
        ("Reg", ["reg", "*"], "*"),  # case counts
    ],
)
def test_the_most_specific_pattern_wins(name: str, patterns: list[str], winner: str) -> None:
    rules = tuple(Tolerance(pattern=pattern) for pattern in patterns)
    names = [name, *("reg" for pattern in patterns if pattern == "reg")]
    assert resolve_tolerances(rules, names, "parity.yml")[name].pattern == winner


def test_the_later_of_equals_wins() -> None:
    rules = (tolerance(atol=1.0), tolerance(atol=2.0))
    assert resolve_tolerances(rules, ["y"], "parity.yml")["y"].atol == 2.0


def test_a_pattern_that_matches_no_output_is_an_error() -> None:
    with pytest.raises(SpecError) as caught:
        resolve_tolerances((tolerance(), tolerance("heatmpa")), ["heatmap"], "parity.yml")
    assert caught.value.at == "parity.yml:3:5"
    assert "'heatmpa' matches no output" in caught.value.problem
    assert caught.value.fix == "did you mean 'heatmap'?"


@pytest.mark.parametrize("rules", [(), (tolerance("heat*"),)])
def test_an_output_without_a_pattern_is_an_error(rules: tuple[Tolerance, ...]) -> None:
    names = ["heatmap", "reg"] if rules else ["reg"]
    with pytest.raises(SpecError, match="no tolerance pattern matches the output 'reg'") as caught:
        resolve_tolerances(rules, names, "parity.yml")
    assert caught.value.at.startswith("parity.yml")


def test_an_output_that_is_missing_needs_no_pattern() -> None:
    assert set(resolve_tolerances((tolerance("a"),), ["a", "b"], "parity.yml", missing=["b"])) == {"a"}


@pytest.mark.parametrize("dtype", [*FLOATS, "complex64"])
def test_without_any_criterion_the_bound_is_the_default_of_the_dtype(dtype: str) -> None:
    rule = applied(tolerance(equal_nan=True), "y", dtype)
    assert (rule.atol, rule.rtol) == default_bound(dtype)
    assert rule.equal_nan


def test_given_one_the_other_is_0() -> None:
    assert applied(tolerance(atol=0.1), "y", "float32").rtol == 0.0
    assert applied(tolerance(rtol=0.1), "y", "float32").atol == 0.0


@pytest.mark.parametrize(
    "criteria",
    [
        {"max_abs": 1.0},
        {"cosine": 0.9},
        {"snr_db": 0.0},
        {"ulp": 0},
        {"quantile": {"0.5": 1.0}},
        {"rms": 0.0},
    ],
)
def test_an_aggregate_criterion_does_not_imply_the_bound(criteria: dict[str, float]) -> None:
    rule = applied(tolerance(**criteria), "y", "float32")
    assert (rule.atol, rule.rtol) == (None, None)


def test_mismatch_takes_the_default_bound() -> None:
    rule = applied(tolerance(mismatch=0.1, cosine=0.9), "y", "float16")
    assert (rule.atol, rule.rtol) == default_bound("float16")


@pytest.mark.parametrize("dtype", [*INTEGERS, "string"])
def test_integers_booleans_and_strings_are_exact_under_a_wildcard(dtype: str) -> None:
    rule = applied(tolerance(rtol=1.0, max_abs=9.0, mismatch=0.5), "label", dtype)
    assert rule.exact
    assert (rule.rtol, rule.max_abs, rule.mismatch) == (None, None, None)
    assert (rule.pattern, rule.line, rule.column) == ("*", 3, 5)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers_may_have_a_tolerance_of_their_own(dtype: str) -> None:
    assert applied(tolerance("label", atol=1.0), "label", dtype).atol == 1.0
    assert applied(tolerance(atol=1.0, exact=False), "label", dtype).atol == 1.0
    default = applied(tolerance("label"), "label", dtype)
    assert (default.atol, default.rtol) == (0.0, 0.0)


def test_exact_outdoes_all_else() -> None:
    assert applied(tolerance(exact=True, atol=1.0, mismatch=0.5), "y", "float32") == tolerance(exact=True)


def test_strings_may_have_a_share_of_mismatches_and_nothing_that_needs_numbers() -> None:
    assert applied(tolerance("label", mismatch=0.1), "label", "string").mismatch == 0.1
    with pytest.raises(
        SpecError, match=r"parity.yml:3:5: output 'label' holds strings, which have no cosine"
    ):
        applied(tolerance("label", cosine=0.9), "label", "string", "parity.yml")
