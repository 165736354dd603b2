"""The steps of a loop in words: how the error of an output grows, and what each step adds by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import log
from sys import float_info

from parity.records.results import OutputResult, StepResult

from . import figures

_BARS = "▁▂▃▄▅▆▇█"
_MOST_BARS = 32


@dataclass(frozen=True)
class LoopFigures:
    """The loop of one output, for a row of a table; `alone` is of the worst step."""

    bars: str
    first: str
    last: str
    growth: str
    beyond: str
    alone: str
    alone_factor: str


@dataclass(frozen=True)
class StepFigures:
    """One step, for a row of a table."""

    number: str
    error: str
    factor: str
    alone: str
    alone_factor: str


ALONE = (
    "Alone: the worst step on the reference's own state. Where that is within tolerance and the loop is "
    "not, errors add up; else the step is at fault."
)


def loop_figures(steps: Sequence[StepResult]) -> LoopFigures:
    """The row of an output with at least one step."""
    _, worst = worst_alone(steps) or (0, steps[0])
    return LoopFigures(
        bars=bars(steps),
        first=figures.number(steps[0].max_abs),
        last=figures.number(steps[-1].max_abs),
        growth=figures.multiple(growth(steps)),
        beyond=str(first_beyond(steps) or figures.MISSING),
        alone=figures.number(worst.alone_max_abs),
        alone_factor=figures.factor(worst.alone_factor),
    )


def step_figures(number: int, step: StepResult) -> StepFigures:
    """The row of a step, which is counted from 1."""
    return StepFigures(
        number=str(number),
        error=figures.number(step.max_abs),
        factor=figures.factor(step.factor) if step.max_abs is not None else step.status,
        alone=figures.number(step.alone_max_abs),
        alone_factor=figures.factor(step.alone_factor) if step.alone_max_abs is not None else "",
    )


def place(output: OutputResult) -> str:
    """``step 3 of 8``: where the output is furthest beyond its tolerance; empty without a loop."""
    return f"step {output.step} of {len(output.steps)}" if output.step else ""


def bars(steps: Sequence[StepResult]) -> str:
    """``▁▃▅▇█``: the error of each step on a logarithmic scale; ``!`` where it could not be measured.

    The scale is a decade at least: rounding that doubles is no growth. Of more than 32 steps, the greatest of
    each of 32 stretches.
    """
    errors = [error for _, error in stretched([step.max_abs for step in steps], _MOST_BARS)]
    known = [log(error) for error in errors if error]
    low = min(known, default=0.0)
    span = max(max(known, default=0.0) - low, log(10))

    def bar(error: float | None) -> str:
        if error is None:
            return "!"
        return _BARS[round((log(error) - low) / span * (len(_BARS) - 1)) if error else 0]

    return "".join(map(bar, errors))


def growth(steps: Sequence[StepResult]) -> float | None:
    """By what factor the error grows with a step: the geometric mean, from the first error to the last.

    None where fewer than two steps have an error.
    """
    known = [(number, step.max_abs) for number, step in enumerate(steps) if step.max_abs]
    if len(known) < 2:
        return None
    (first, start), (last, end) = known[0], known[-1]
    return float(min(end / start, float_info.max) ** (1 / (last - first)))


def first_beyond(steps: Sequence[StepResult]) -> int | None:
    """The first step, counted from 1, that is not within tolerance."""
    return next((number for number, step in enumerate(steps, 1) if step.status != "passed"), None)


def worst_alone(steps: Sequence[StepResult]) -> tuple[int, StepResult] | None:
    """The step that adds most by itself, on the reference's own state, counted from 1."""
    failed = [(number, step) for number, step in enumerate(steps, 1) if step.alone_status != "passed"]
    chosen = failed or list(enumerate(steps, 1))
    return max(chosen, key=lambda entry: _size(entry[1]), default=None)


def facts(output: OutputResult) -> list[tuple[str, str]]:
    """What there is to say about the steps of an output, (name, text); nothing without a loop."""
    if not output.steps:
        return []
    return [("steps", course(output)), ("each alone", alone(output.steps))]


def course(output: OutputResult) -> str:
    """``▁▃▅▇█ 1.2e-7 → 3.4e-5, first beyond in step 3 of 8, 1.9 x a step``; short, to fit beside a name."""
    return f"{bars(output.steps)} {trend(output.steps)}"


def trend(steps: Sequence[StepResult]) -> str:
    """``1.2e-7 → 3.4e-5, first beyond in step 3 of 8, 1.9 x a step``."""
    first, last = (figures.number(steps[at].max_abs) for at in (0, -1))
    beyond, factor = first_beyond(steps), growth(steps)
    said = [
        f"{first} → {last}",
        f"first beyond in step {beyond} of {len(steps)}" if beyond else figures.counted(len(steps), "step"),
        f"{figures.multiple(factor)} a step" if factor is not None else "",
    ]
    return ", ".join(part for part in said if part)


def alone(steps: Sequence[StepResult]) -> str:
    """What the steps add by themselves, and so whether a step is at fault or errors add up."""
    found = worst_alone(steps)
    if found is None:
        return ""
    number, step = found
    far = f"{figures.number(step.alone_max_abs)}, {figures.factor(step.alone_factor)} the tolerance"
    where = f"in step {number}, on the reference's own state"
    if step.alone_status != "passed":
        return f"beyond tolerance too: {far} {where}"
    adds_up = ": errors add up" if first_beyond(steps) is not None else ""
    return f"within tolerance, at most {far} {where}{adds_up}"


def _size(step: StepResult) -> float:
    if step.alone_factor is not None:
        return step.alone_factor
    return float("inf") if step.alone_status == "failed" else 0.0


def stretched(errors: Sequence[float | None], most: int) -> list[tuple[int, float | None]]:
    """(step, error) of each step, counted from 1; of more than `most`, the greatest of `most` stretches.

    None, which could not be measured, counts as greater than all.
    """
    numbered = list(enumerate(errors, 1))
    if len(numbered) <= most:
        return numbered
    edges = [round(at * len(numbered) / most) for at in range(most + 1)]
    stretches = [numbered[start:end] for start, end in pairwise(edges)]
    return [max(part, key=lambda entry: float("inf") if entry[1] is None else entry[1]) for part in stretches]
