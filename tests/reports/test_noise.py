from __future__ import annotations

from typing import Any

import pytest
from support import reports as made

from parity.records.results import OutputResult, Report
from parity.reports import noise, selection

FLOOR = 5.2e-5


def passed(name: str, atol: float | None, rtol: float | None = 0.0, **changes: Any) -> OutputResult:
    """An output with a noise floor of 5.2e-5 whose reference's greatest element is 8.37."""
    stated = made.tolerance(atol=atol, rtol=rtol, **changes)
    return made.output(name, 3e-5, tolerance=stated, diagnosis=made.diagnosis(None, 3e-5))


def notes(*outputs: OutputResult) -> list[tuple[str, str]]:
    return of_report(made.report((made.case("model", outputs),), 0))


def of_report(report: Report) -> list[tuple[str, str]]:
    return noise.tolerance_notes(report, selection.output_rows(report))


def test_a_tolerance_far_above_the_noise_is_remarked_upon() -> None:
    assert notes(passed("heatmap", 0.05)) == [
        ("heatmap", f"atol 0.05 is 962 x the float32 noise: a fault of that size would pass ({made.SPEC}:31)")
    ]


def test_the_floor_of_a_reference_under_autocast_is_not_that_of_its_outputs() -> None:
    output = passed("heatmap", 0.05)
    coarse = made.replaced(output, reference_dtype="bfloat16")
    assert notes(coarse)[0][1].startswith("atol 0.05 is 962 x the noise: ")
    assert "962 x the float64 noise" in notes(made.replaced(output, reference_dtype="float64"))[0][1]


def test_a_tolerance_below_the_noise_is_remarked_upon() -> None:
    assert notes(passed("heatmap", 1e-6)) == [
        ("heatmap", f"atol 1e-6 is below the float32 noise floor of 5.20e-5: it will flake ({made.SPEC}:31)")
    ]


@pytest.mark.parametrize("atol", [FLOOR, 1e-4, 1e-3, 99 * FLOOR])
def test_a_tolerance_in_proportion_is_not(atol: float) -> None:
    assert notes(passed("heatmap", atol)) == []


def test_a_relative_part_that_reaches_above_the_noise_is_no_flake() -> None:
    assert notes(passed("heatmap", 1e-6, 1e-5)) == []
    (said,) = notes(passed("heatmap", 1e-6, 1e-6))
    assert said[1].startswith("atol 1e-6, rtol 1e-6 is below")


@pytest.mark.parametrize(
    "other",
    [
        {"cosine": 0.999},
        {"max_abs": 1e-3},
        {"quantile": {"0.9": 1e-3}},
        {"ulp": 4.0},
        {"exact": True},
        {"noise_factor": 10.0, "noise_floor": FLOOR},
    ],
)
def test_beside_another_criterion_nothing_is_claimed(other: dict[str, Any]) -> None:
    assert notes(passed("heatmap", 0.05, **other)) == []
    assert notes(passed("heatmap", 1e-6, **other)) == []


def test_elements_that_may_be_beyond_the_bound_make_no_flake_but_a_loose_bound_is_loose() -> None:
    assert notes(passed("heatmap", 1e-6, mismatch=0.1)) == []
    assert len(notes(passed("heatmap", 0.05, mismatch=0.1))) == 1


@pytest.mark.parametrize("changes", [{"noise_floor": None}, {"noise_floor": 0.0}])
def test_without_noise_there_is_nothing_to_say(changes: dict[str, Any]) -> None:
    assert notes(made.replaced(passed("y", 0.05), diagnosis=made.diagnosis(None, 3e-5, **changes))) == []
    assert notes(made.replaced(passed("y", 0.05), diagnosis=None)) == []


def test_failed_outputs_count_too() -> None:
    (said,) = notes(made.output("y", 0.5, bound=0.05, diagnosis=made.diagnosis("export", 0.5)))
    assert "atol 0.05 is 962 x" in said[1]


def test_outputs_under_one_rule_are_one_note_with_the_figure_that_holds_for_all() -> None:
    (said,) = notes(
        *(passed(f"head.{i}", 0.05) for i in range(5)),
        made.replaced(passed("noisy", 0.05), diagnosis=made.diagnosis(None, 3e-5, noise_floor=1e-4)),
    )
    assert said[0] == "head.0, head.1, head.2 and 3 more"
    assert said[1].startswith("atol 0.05 is at least 500 x the float32 noise")
    two = notes(passed("a", 0.05), passed("b", 0.05, line=40))
    assert len(two) == 2


def test_the_greatest_noise_floor_of_all_input_sets_counts() -> None:
    cases = tuple(
        made.case(
            "model",
            (made.replaced(passed("y", 0.05), diagnosis=made.diagnosis(None, 3e-5, noise_floor=floor)),),
            input_set=str(i),
        )
        for i, floor in enumerate((1e-5, 1e-4, 2e-5))
    )
    ((_, said),) = of_report(made.report(cases, 0))
    assert said.startswith("atol 0.05 is 500 x")


@pytest.mark.parametrize(
    ("dtype", "floor", "text"),
    [
        ("float32", 1e-4, "5,000 x the float32 noise floor of 1.00e-4"),
        ("bfloat16", 0.25, "2.00 x the bfloat16 noise floor of 0.250"),
        ("int64", 1.0, "0.50 x the noise floor of 1.00"),
        ("float32", 0.0, "the noise floor is 0: rounding explains no difference here"),
        ("float32", None, ""),
    ],
)
def test_a_difference_against_the_noise(dtype: str, floor: float | None, text: str) -> None:
    diagnosis = made.diagnosis("export", 0.5, noise_floor=floor)
    assert noise.against(made.output("y", 0.5, dtype=dtype), diagnosis.budget) == text


def multiple(name: str, factor: float, **changes: Any) -> OutputResult:
    """An output judged by a multiple of a noise floor of 5.2e-5, not diagnosed."""
    stated = {"noise_factor": factor, "noise_floor": FLOOR, "rtol": None, **changes}
    return made.replaced(passed(name, stated.pop("atol", None), **stated), diagnosis=None)


@pytest.mark.parametrize("factor", [2.0, 10.0, 1000.0])
def test_a_multiple_of_the_noise_in_proportion_is_not_remarked_upon(factor: float) -> None:
    assert notes(multiple("heatmap", factor)) == []


def test_too_few_times_the_noise_will_flake() -> None:
    said = f"1.5 x noise is no room for the rounding of both sides: it will flake ({made.SPEC}:31)"
    assert notes(multiple("heatmap", 1.5), multiple("reg", 1.5)) == [("heatmap, reg", said)]
    assert len(notes(multiple("heatmap", 1.5, cosine=0.9))) == 1  # each criterion must hold


def test_too_many_times_the_noise_let_a_fault_pass() -> None:
    said = f"5000 x noise is 0.260: a fault of that size would pass ({made.SPEC}:31)"
    assert notes(multiple("heatmap", 5000.0)) == [("heatmap", said)]
    least = f"5000 x noise is at least 0.260: a fault of that size would pass ({made.SPEC}:31)"
    noisy = multiple("reg", 5000.0, noise_floor=1e-3)
    assert notes(multiple("heatmap", 5000.0), noisy) == [("heatmap, reg", least)]


def test_too_many_times_the_noise_beside_another_criterion_are_its_business() -> None:
    assert notes(multiple("heatmap", 5000.0, cosine=0.9)) == []
    assert notes(multiple("heatmap", 5000.0, atol=1e-6)) == []
