"""The parts of `summary.md` about the steps of loops, and about limits of latency and memory."""

from __future__ import annotations

from collections.abc import Iterator

from parity.records.jobs import MODEL
from parity.records.results import Report

from . import figures, limits, selection, steps, wording
from .document import Section, folded, row, table
from .escaping import code, unbroken
from .selection import OutputRow

_MOST_STEPS = 100  # rows of one output
_ALONE = (
    "\nAlone: the worst step on the reference's own state. Where that is within tolerance and the loop is "
    "not, errors add up; else the step is at fault.\n"
)


def limits_exceeded(report: Report) -> Iterator[Section]:
    """A table of the limits that the candidate is beyond."""
    rows = limits.exceeded(report)
    if not rows:
        return
    lines = []
    for entry in rows:
        check = entry.check
        cells = [code(wording.label(entry.subject, check.limit_name)), unbroken(limits.amounts(check))]
        cells += [f"**{_times(check.ratio)}**", _times(check.at_least), _times(check.limit)]
        lines.append(row([*cells, code(check.at), code(str(entry.pair))]))
    columns = ["Limit", "Reference → candidate", "Ratio", "At least", "Allowed", "Stated at", "Sides"]
    head = f"\n### Beyond its limit\n\n{table(columns, ['Ratio', 'At least', 'Allowed'])}"
    yield Section(head, lines, weight=88)


def _times(value: float | None) -> str:
    return unbroken(f"{figures.number(value)} x") if value is not None else figures.MISSING


def step_growth(rows: list[OutputRow]) -> Iterator[Section]:
    """How the errors of loops grow: a row for each output."""
    looped = [entry for entry in selection.worst_first(rows) if entry.worst.steps]
    if not looped:
        return
    named = any(entry.subject != MODEL for entry in looped)
    lines = []
    for entry in looped:
        found = entry.worst.steps
        beyond, factor = steps.first_beyond(found), steps.growth(found)
        cells = [code(entry.subject)] * named + [code(entry.name), unbroken(steps.bars(found))]
        cells += [figures.number(found[at].max_abs) for at in (0, -1)]
        cells += [_times(factor), str(beyond or figures.MISSING)]
        if (found_alone := steps.worst_alone(found)) is not None:
            step = found_alone[1]
            cells += [figures.number(step.alone_max_abs), unbroken(figures.factor(step.alone_factor))]
        lines.append(row(cells))
    numeric = ["First", "Last", "A step", "Beyond from", "Alone", "Of tolerance"]
    columns = ["Component"] * named + ["Output", "Error by step", *numeric]
    yield Section(f"\n### Steps\n\n{table(columns, numeric)}", lines, _ALONE, weight=75)


def every_step(rows: list[OutputRow]) -> Iterator[Section]:
    """All figures of the outputs of loops that failed, step by step."""
    for entry in selection.failed(rows):
        if not entry.worst.steps:
            continue
        lines = [
            row(
                [
                    str(number),
                    figures.number(step.max_abs),
                    unbroken(figures.factor(step.factor)) if step.max_abs is not None else step.status,
                    figures.number(step.alone_max_abs),
                    unbroken(figures.factor(step.alone_factor)) if step.alone_max_abs is not None else "",
                ]
            )
            for number, step in enumerate(entry.worst.steps[:_MOST_STEPS], 1)
        ]
        columns = ["Step", "Max error", "Of tolerance", "Alone", "Alone, of tolerance"]
        name = wording.label(entry.subject, entry.name)[:80]
        yield folded(f"Steps of {name}", table(columns, columns), lines, weight=35)
