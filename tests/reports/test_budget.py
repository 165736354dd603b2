from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import reports as made

from parity.records.diagnosis import Budget, Diagnosis
from parity.reports import budget, selection

SIZES = st.floats(0, 1e38, allow_nan=False)


def line(diagnosis: Diagnosis) -> str:
    return budget.line(diagnosis.budget)


def facts(diagnosis: Diagnosis, error: float = 0.5) -> dict[str, str]:
    told = [fact for fact in budget.facts(made.output("y", error, diagnosis=diagnosis)) if fact[1]]
    assert len({name for name, _ in told}) == len(told)
    return dict(told)


def test_the_greatest_leg_comes_first_with_share_and_bar() -> None:
    said = line(made.diagnosis("export", 0.147, reference_rounding=1.13e-4, noise_floor=1.13e-4))
    assert said == (
        "export 0.147 (> 99.9 %) ▇▇▇▇▇▇▇▇  reference rounding 1.13e-4  runtime 2.04e-5  repeatability 0"
    )


def test_shares_are_of_the_sum_of_the_three_legs() -> None:
    shared = made.diagnosis(
        None, 1e-4, reference_rounding=5e-5, export_error=4e-5, runtime_error=1e-5, repeatability=9e-5
    )
    assert {leg.name: (leg.share, len(leg.bar)) for leg in budget.legs(shared.budget)} == {
        "repeatability": ("", 0),
        "reference rounding": ("50.0 %", 4),
        "export": ("40.0 %", 3),
        "runtime": ("10.0 %", 1),
    }


@given(SIZES, SIZES, SIZES)
def test_no_share_is_all_beside_another_leg_nor_nothing_of_something(a: float, b: float, c: float) -> None:
    sizes = {"reference_rounding": a, "export_error": b, "runtime_error": c}
    legs = budget.legs(made.diagnosis(None, a, **sizes).budget)
    assert [leg.size for leg in legs] == sorted((a, b, c, 0.0), reverse=True)
    for leg in legs:
        if leg.share in ("100 %", "0 %"):
            assert leg.size == 0 or [a, b, c].count(0.0) == 2
        assert not re.match(r"100|0(\.0*)? ", leg.share) or leg.share in ("100 %", "0 %")
        assert len(leg.bar) <= 8
    assert sum(leg.part or 0.0 for leg in legs) in (0.0, pytest.approx(1.0))


@pytest.mark.parametrize("field", ["reference_rounding", "export_error", "runtime_error"])
def test_nothing_has_a_share_beside_an_unknown_leg(field: str) -> None:
    said = facts(made.diagnosis("export", 0.5, **{field: None}, unknown={field: "a custom operator"}))
    assert "%" not in " ".join(said.values())
    assert "▇" not in " ".join(said.values())
    assert said["unknown"].endswith(": a custom operator")


def test_legs_that_are_unknown_for_one_reason_are_told_at_once_with_what_they_come_to() -> None:
    assert facts(made.undiagnosable("node 'nms' can't be evaluated", 0.5)) == {
        "budget": "reference rounding 5.20e-5  repeatability 0",
        "mostly": "export or runtime, at least 0.500 together",
        "noise": "9,615 x the float32 noise floor of 5.20e-5",
        "unknown": "export and runtime: node 'nms' can't be evaluated",
    }


def test_what_is_small_beside_the_known_legs_is_not_said_to_be_at_least_anything() -> None:
    said = facts(made.undiagnosable("no", 9e-5))
    assert said["mostly"] == "unknown: too little of the budget could be measured"


def test_a_budget_of_which_nothing_is_known() -> None:
    names = ("reference_rounding", "export_error", "runtime_error", "repeatability", "noise_floor")
    nothing = Budget(total=0.5, **dict.fromkeys(names, None), unknown=dict.fromkeys(names, "no answer"))
    assert facts(Diagnosis(budget=nothing, dominant_leg=None)) == {
        "mostly": "unknown: too little of the budget could be measured",
        "unknown": "reference rounding, export, runtime, repeatability and noise floor: no answer",
    }


def test_without_a_total_nothing_is_held_against_it() -> None:
    """The two sides have different shapes: there is nothing to subtract."""
    reason = "the shapes differ"
    unknown = {"export_error": reason, "runtime_error": reason}
    unlike = made.diagnosis(None, export_error=None, runtime_error=None, unknown=unknown)
    assert facts(made.replaced(unlike, budget=made.replaced(unlike.budget, total=None))) == {
        "budget": "reference rounding 5.20e-5  repeatability 0",
        "mostly": "unknown: too little of the budget could be measured",
        "unknown": "export and runtime: the shapes differ",
    }


def test_each_reason_is_told() -> None:
    unknown = {"export_error": "one", "repeatability": "two"}
    diagnosis = made.diagnosis(None, 0.5, export_error=None, repeatability=None, noise_floor=None)
    output = made.output(
        "y", 0.5, diagnosis=made.replaced(diagnosis, budget=made.replaced(diagnosis.budget, unknown=unknown))
    )
    assert [text for name, text in budget.facts(output) if name == "unknown"] == [
        "export: one",
        "repeatability: two",
        "noise floor: no reason is given",
    ]


@pytest.mark.parametrize(
    ("diagnosis", "word", "sentence"),
    [
        (made.diagnosis("export"), "export", "export error: the ONNX graph computes something else"),
        (made.diagnosis("runtime"), "runtime", "runtime error: ONNX Runtime's kernels or graph optimizers"),
        (made.diagnosis("repeatability"), "repeatability", "not repeatable: two runs of one side"),
        (
            made.diagnosis("reference", 5.2e-5),
            "reference",
            "reference rounding: the reference's own arithmetic",
        ),
        (
            made.diagnosis("reference", 5.2e-3),
            "reference",
            "reference rounding: the reference's own arithmetic, 100 x what strict numerics leave of it",
        ),
        (
            made.diagnosis(None, 8e-5),
            "no leg",
            "no leg stands out: both sides' arithmetic, hardly any export error",
        ),
        (made.diagnosis(None, 8e-5, export_error=4e-5), "no leg", "no leg stands out"),
        (made.undiagnosable("no", 8e-5), "unknown", "unknown: too little"),
        # Without a finite difference of its own, a leg may stand out all the same.
        (made.diagnosis("export", export_error=None), "export", "export error"),
    ],
)
def test_what_stands_out_is_one_word_and_one_sentence(diagnosis: Diagnosis, word: str, sentence: str) -> None:
    assert budget.mostly(diagnosis) == word
    assert budget.sentence(diagnosis).startswith(sentence)


def test_an_output_without_a_budget_has_nothing_to_say() -> None:
    assert budget.facts(made.output("y", 0.5)) == []


@pytest.mark.parametrize(
    "sizes",
    [(1e308, 1e308, 1e308), (5e-324, 0.0, 5e-324), (-1.0, 0.5, 0.5), (-1.0, 1.0, 1e-300), (0.0, 0.0, 0.0)],
)
def test_figures_of_a_forged_file_do_no_harm(sizes: tuple[float, float, float]) -> None:
    reference, export, runtime = sizes
    forged = {"reference_rounding": reference, "export_error": export, "runtime_error": runtime}
    for floor in (-1.0, 0.0, 5e-324, 1e308):
        said = facts(made.diagnosis("reference", 1e308, **{**forged, "noise_floor": floor}))
        assert len(" ".join(said.values())) < 1_000


def rows(*errors: tuple[float, Diagnosis | None]) -> selection.OutputRow:
    cases = tuple(
        made.case("model", (made.output("y", error, diagnosis=diagnosis),), input_set=str(i))
        for i, (error, diagnosis) in enumerate(errors)
    )
    (row,) = selection.output_rows(made.report(cases, 1))
    return row


def test_a_row_shows_the_budget_of_its_worst_input_set() -> None:
    row = rows((0.5, made.diagnosis("runtime", 0.5)), (0.7, made.diagnosis("export", 0.7)))
    assert budget.row_facts(row)[0][1].startswith("export 0.700")
    assert dict(budget.row_facts(row))["budget of"] == ""


def test_the_budget_of_another_input_set_says_so() -> None:
    row = rows((0.5, made.diagnosis("export", 0.5)), (0.7, None))
    assert dict(budget.row_facts(row))["budget of"] == "input set 0"


def test_the_budget_of_a_set_that_passed_does_not_explain_one_that_failed() -> None:
    row = rows((1e-5, made.diagnosis(None, 1e-5)), (0.7, None))
    assert row.explained is None
    assert not any(text for _, text in budget.row_facts(row))
    assert len(row.diagnosed) == 1
