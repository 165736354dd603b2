"""Steps of loops in words: how an error grows, and whether a step is at fault or errors add up."""

from __future__ import annotations

import pytest
from support import reports as made

from parity.records.results import StepResult
from parity.reports import markdown, steps

GROWING = tuple(1e-6 * 2.0**step for step in range(8))


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        (GROWING, "▁▂▃▄▅▆▇█"),
        ((1e-7, 1.1e-7, 2e-7), "▁▁▃"),  # on a scale of a decade
        ((0.0, 0.0), "▁▁"),
        ((0.0, 1e-8, 1.0), "▁▁█"),
        ((5.0,) * 3, "▁▁▁"),
    ],
)
def test_bars_are_logarithmic(errors: tuple[float, ...], expected: str) -> None:
    assert steps.bars(made.steps(errors, 0.0)) == expected


def test_many_steps_are_shortened_and_keep_their_greatest() -> None:
    errors = [1e-6] * 1000
    errors[500] = 1.0
    drawn = steps.bars(made.steps(tuple(errors), 0.0))
    assert len(drawn) == 32
    assert drawn.count("█") == 1


def test_a_step_that_was_not_measured_is_seen() -> None:
    unmeasured = StepResult(
        status="failed",
        max_abs=None,
        factor=None,
        alone_max_abs=None,
        alone_factor=None,
        alone_status="failed",
    )
    found = (*made.steps((1e-6, 1e-6), 1e-6), unmeasured)
    assert steps.bars(found) == "▁▁!"
    assert steps.bars((*found, *made.steps((1e-6,) * 500, 1e-6))).count("!") == 1
    assert steps.first_beyond(found) == 3
    assert steps.worst_alone(found) == (3, unmeasured)
    assert "beyond tolerance too: -, ∞ the tolerance in step 3" in steps.alone(found)


def test_growth_is_the_factor_of_a_step() -> None:
    assert steps.growth(made.steps(GROWING, 0.0)) == pytest.approx(2.0)
    assert steps.growth(made.steps((0.0, *GROWING), 0.0)) == pytest.approx(2.0)
    assert steps.growth(made.steps((0.0, 0.0, 1.0), 0.0)) is None


def test_errors_that_add_up_are_told_from_a_faulty_step() -> None:
    adds_up, faulty, sound = made.loops().cases[0].outputs
    assert steps.alone(adds_up.steps).endswith("errors add up")
    assert steps.alone(faulty.steps).startswith("beyond tolerance too: 2.90e-4, 2.90 x")
    assert steps.alone(sound.steps).startswith("within tolerance, at most 1.00e-7")
    assert "add up" not in steps.alone(sound.steps)


def test_the_course_is_short_and_says_where_it_breaks() -> None:
    adds_up, _, sound = made.loops().cases[0].outputs
    assert steps.course(adds_up) == "▁▂▃▄▅▆▇█ 1.00e-6 → 6.10e-4, first beyond in step 7 of 8, 2.50 x a step"
    assert steps.course(sound) == "▁▁▁▁▁▁▁▁ 2.00e-7 → 2.00e-7, 8 steps, 1.00 x a step"
    assert steps.place(adds_up) == "step 8 of 8"


def test_an_output_without_steps_has_nothing_to_say() -> None:
    assert steps.facts(made.output("x", 1.0)) == []
    assert steps.place(made.output("x", 1.0)) == ""


def test_the_summary_has_a_row_for_each_output_and_every_step_of_what_failed() -> None:
    text = markdown.render(made.loops())
    assert "### Steps" in text
    assert text.count("▁▂▃▄▅▆▇█") >= 1
    assert "Steps of decoder / adds&#95;up" in text
    assert "Steps of decoder / sound" not in text
    assert "| 8 | 6.10e-4 |" in text
