"""The steps of a loop, judged: each on the candidate's own state, and beside it alone on the reference's.

What ships runs on its own state, so that is what the tolerances are about. A step alone starts from the
reference's state: where it is within tolerance and the loop is not, errors add up; where it is not, the step
itself is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import inf

from msgspec.structs import replace

from parity.records.jobs import ComponentJob
from parity.records.loops import whole_loops
from parity.records.outcomes import Ran
from parity.records.results import OutputResult, StepResult
from parity.records.tensors import StageCall

Judge = Callable[[StageCall, StageCall | None], tuple[OutputResult, ...]]
"""A call of the reference and the candidate's -> the verdict on each output."""

_WORST_FIRST = ("failed", "error", "passed", "skipped")


def loops_of(component: ComponentJob, reference: Ran) -> list[tuple[str, tuple[StageCall, ...]]]:
    """The subject of each loop that the reference ran, and its steps."""
    assert component.loop is not None
    calls = [call for call in reference.calls if call.component == component.name]
    subjects = (component.name if n == 0 else f"{component.name}#{n + 1}" for n in range(len(calls)))
    return list(zip(subjects, whole_loops(calls, component.loop), strict=False))


def judge_loop(steps: Sequence[StageCall], candidate: Ran, judge: Judge) -> tuple[OutputResult, ...]:
    """One result for each output: that of the step in which it is furthest beyond its tolerance.

    Args:
        steps: the reference's calls of one loop.
        candidate: has the same calls alone, and freely.
        judge: compares two calls.

    Raises:
        ParityError: as `judge` does.
    """
    alone, free = _by_key(candidate.calls), _by_key(candidate.free)
    judged: dict[str, list[tuple[OutputResult, OutputResult]]] = {}
    for step in steps:
        key = (step.component, step.index)
        by_name = {output.name: output for output in judge(step, alone.get(key))}
        for output in judge(step, free.get(key)):
            judged.setdefault(output.name, []).append((output, by_name[output.name]))
    return tuple(_worst(results) for results in judged.values())


def step_to_look_into(outputs: Iterable[OutputResult], steps: Sequence[StageCall]) -> StageCall:
    """The step whose fault is the greatest, alone: what a diagnosis is made of.

    The first of the greatest factor of any output. Where errors only add up, all steps are much alike.
    """

    def factor(position: int) -> float:
        found = [output.steps[position] for output in outputs if position < len(output.steps)]
        return max((_factor(step.alone_status, step.alone_factor) for step in found), default=0.0)

    outputs = tuple(outputs)
    return steps[max(range(len(steps)), key=factor)]


def _worst(results: Sequence[tuple[OutputResult, OutputResult]]) -> OutputResult:
    free = [output for output, _ in results]
    position = min(range(len(free)), key=lambda at: _badness(free[at]))
    worst = free[position]
    problem = f"step {position + 1}: {worst.problem}" if worst.problem else ""
    steps = tuple(
        StepResult(
            status=output.status,
            max_abs=output.max_abs,
            factor=output.factor,
            alone_max_abs=alone.max_abs,
            alone_factor=alone.factor,
            alone_status=alone.status,
        )
        for output, alone in results
    )
    return replace(worst, problem=problem, step=position + 1, steps=steps)


def _badness(output: OutputResult) -> tuple[int, float, float]:
    return (
        _WORST_FIRST.index(output.status),
        -_factor(output.status, output.factor),
        -(output.max_abs or 0.0),
    )


def _factor(status: str, factor: float | None) -> float:
    """A failure without a factor is infinite, anything else without one says nothing."""
    return factor if factor is not None else inf if status == "failed" else 0.0


def _by_key(calls: Iterable[StageCall]) -> dict[tuple[str, int], StageCall]:
    return {(call.component, call.index): call for call in calls}
