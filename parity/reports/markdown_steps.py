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


def limits_exceeded(report: Report) -> Iterator[Section]:
    """A table of the limits that the candidate is beyond."""
    rows = limits.exceeded(report)
    if not rows:
        return
    lines = []
    for entry in rows:
        check = entry.check
        cells = [code(wording.label(entry.subject, check.limit_name)), unbroken(limits.amounts(check))]
        ratio, at_least, limit = (
            unbroken(figures.multiple(value)) for value in (check.ratio, check.at_least, check.limit)
        )
        cells += [f"**{ratio}**", at_least, limit]
        lines.append(row([*cells, code(check.at), code(str(entry.pair))]))
    columns = ["Limit", "Reference → candidate", "Ratio", "At least", "Allowed", "Stated at", "Sides"]
    head = f"\n### Beyond its limit\n\n{table(columns, ['Ratio', 'At least', 'Allowed'])}"
    yield Section(head, lines, weight=88)


def step_growth(rows: list[OutputRow]) -> Iterator[Section]:
    """How the errors of loops grow: a row for each output."""
    looped = [entry for entry in selection.worst_first(rows) if entry.worst.steps]
    if not looped:
        return
    named = any(entry.subject != MODEL for entry in looped)
    lines = []
    for entry in looped:
        loop = steps.loop_figures(entry.worst.steps)
        told = [loop.bars, loop.first, loop.last, loop.growth, loop.beyond, loop.alone, loop.alone_factor]
        cells = [code(entry.subject)] * named + [code(entry.name), *map(unbroken, told)]
        lines.append(row(cells))
    numeric = ["First", "Last", "A step", "Beyond from", "Alone", "Of tolerance"]
    columns = ["Component"] * named + ["Output", "Error by step", *numeric]
    yield Section(f"\n### Steps\n\n{table(columns, numeric)}", lines, f"\n{steps.ALONE}\n", weight=75)


def every_step(rows: list[OutputRow]) -> Iterator[Section]:
    """All figures of the outputs of loops that failed, step by step."""
    for entry in selection.failed(rows):
        if not entry.worst.steps:
            continue
        told = [
            steps.step_figures(number, step) for number, step in enumerate(entry.worst.steps[:_MOST_STEPS], 1)
        ]
        lines = [
            row([each.number, *map(unbroken, (each.error, each.factor, each.alone, each.alone_factor))])
            for each in told
        ]
        columns = ["Step", "Max error", "Of tolerance", "Alone", "Alone, of tolerance"]
        name = wording.label(entry.subject, entry.name)[:80]
        yield folded(f"Steps of {name}", table(columns, columns), lines, weight=35)
