"""The parts of `summary.md` about the steps of loops, and about limits of latency and memory."""

from __future__ import annotations

from collections.abc import Iterator

from parity.records.jobs import MODEL
from parity.records.results import Report

from . import figures, limits, selection, steps, wording
from .document import Section, folded, row, table
from .escaping import code, prose, unbroken
from .selection import OutputRow

_MOST_STEPS = 100  # rows of one output


def limits_exceeded(report: Report) -> Iterator[Section]:
    """A table of the limits that the candidate is beyond."""
    rows = selection.exceeded(report)
    if not rows:
        return
    lines = []
    for entry in rows:
        told = dict(limits.facts(entry))
        ratio = f"**{figures.number(entry.check.ratio)} x**"
        label = code(wording.label(entry.subject, entry.check.limit_name))
        cells = [label, unbroken(limits.amounts(entry.check)), ratio, prose(told["at least"])]
        cells += [f"{figures.limit(entry.check.limit)} x", code(entry.check.at), code(str(entry.pair))]
        lines.append(row(cells))
    columns = ["Limit", "Reference → candidate", "Ratio", "At least", "Allowed", "Stated at", "Sides"]
    yield Section(f"\n### Beyond its limit\n\n{table(columns, ['Ratio', 'Allowed'])}", lines, weight=88)


def growth(rows: list[OutputRow]) -> Iterator[Section]:
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
        cells += [f"{figures.number(factor)} x" if factor is not None else figures.MISSING]
        cells += [str(beyond or figures.MISSING), prose(steps.alone(found))]
        lines.append(row(cells))
    numeric = ["First step", "Last step", "Growth a step", "First beyond"]
    columns = ["Component"] * named + ["Output", "Error by step", *numeric, "Each step alone"]
    yield Section(f"\n### Steps\n\n{table(columns, numeric)}", lines, weight=75)


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
