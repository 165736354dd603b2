"""The sections of `summary.md` on why outputs differ: place, cause and remedy, and the evidence for them."""

from __future__ import annotations

from collections.abc import Iterator

from parity.records.diagnosis import Divergence, Statistics
from parity.records.results import CaseResult, Report

from . import budget, causes, figures, grouping, modules, selection, wording
from .document import Section, folded, row, table
from .escaping import code, prose, unbroken
from .grouping import Group
from .selection import Diagnosed, OutputRow

_MOST_MODULES = 12  # rows
_MOST_LISTED = 8  # outputs of one reason
_STATISTICS = ("Min", "Max", "Mean", "Std", "Not finite")


def where_and_why(rows: list[OutputRow]) -> Iterator[Section]:
    """One table for each reason of failed outputs: the leg, where it starts, why, what mends it."""
    blocks = [
        _reason_table(group, group.explained)
        for group in grouping.groups(selection.failed(rows))
        if group.explained and group.is_reasoned
    ]
    if blocks:
        yield Section("\n### Where and why\n\n", blocks, weight=85)


def evidence(report: Report, rows: list[OutputRow]) -> Iterator[Section]:
    """Folded away: the tensor where each error starts, all causes, the modules, budgets of what passed."""
    found = [group for group in grouping.groups(selection.failed(rows)) if group.explained]
    yield from _tensors(found)
    yield from _all_causes(found)
    for case in report.cases:
        yield from _modules(case)
    yield from _passed(rows)


def _reason_table(group: Group, explained: Diagnosed) -> str:
    diagnosis = explained.diagnosis
    lines = [("mostly", prose(budget.sentence(diagnosis)))]
    if legs := budget.legs(diagnosis.budget):
        lines.append(("budget", f"{legs[0].name} {legs[0]} {legs[0].bar}".rstrip()))
    if (first := diagnosis.first_divergence) is not None:
        lines.append(("starts at", _place(first)))
        lines.append(("node", code(causes.node(first)) if causes.node(first) else ""))
    strong = "" if causes.is_good_news(diagnosis) else "because"
    told = [*causes.facts(diagnosis), *grouping.remedies(group), *causes.note_facts(diagnosis)]
    lines += [
        (name, f"**{prose(text)}**" if name == strong else prose(text))
        for name, text in told
        if name in ("because", "also", "mend", "note") and text
    ]
    heading = table([code(group.lead.subject), _outputs(group)])
    return f"{heading}{''.join(row(line) for line in lines if line[1])}\n"


def _outputs(group: Group) -> str:
    """``heatmap 402 x, vel 355 x``, of which the first has the budget."""
    told = [
        f"{code(entry.name)} {unbroken(wording.how_far(entry.worst).removesuffix(' its tolerance'))}".rstrip()
        for entry in group.rows
    ]
    return selection.listed(told, most=_MOST_LISTED)


def _place(first: Divergence) -> str:
    name = code(first.module or causes.shortened(first.node))
    return ", ".join([name, *(code(part) for part in (first.op_type, first.source) if part)])


def _tensors(found: list[Group]) -> Iterator[Section]:
    """Expected and found statistics of the first tensor that is off."""
    blocks = []
    for group in found:
        first = group.explained.diagnosis.first_divergence if group.explained else None
        if first is None or not (first.expected or first.found or causes.adds(first)):
            continue
        head = table([code(causes.shortened(first.output or first.node)), *_STATISTICS], _STATISTICS)
        kinds = (("expected", first.expected), ("found", first.found))
        lines = [row([name, *_figures(values)]) for name, values in kinds if values]
        said = [
            f"{code(wording.label(group.lead.subject, group.lead.name))}: {_place(first)}",
            figures.bracketed(first.shape) if first.shape else "",
            f"adds {prose(causes.adds(first))}" if causes.adds(first) else "",
        ]
        about = f"{', '.join(part for part in said if part)}\n\n"
        blocks.append(f"{about}{head}{''.join(lines)}\n" if lines else about)
    if blocks:
        yield folded("The tensor where it starts", "", blocks, weight=41)


def _figures(values: Statistics) -> list[str]:
    numbers = (values.minimum, values.maximum, values.mean, values.std)
    return [
        *(unbroken(figures.number(value, causes.STATISTIC_DIGITS)) for value in numbers),
        f"{values.nonfinite:,}",
    ]


def _all_causes(found: list[Group]) -> Iterator[Section]:
    lines = []
    for group in found:
        for cause in group.explained.diagnosis.causes if group.explained else ():
            about = [code(causes.shortened(name)) for name in (cause.node, cause.tensor) if name]
            cells = [
                code(wording.label(group.lead.subject, group.lead.name)),
                cause.kind,
                cause.leg,
                unbroken(causes.share(cause)) or figures.MISSING,
                prose(cause.message),
                ", ".join(about),
                prose(cause.remedy),
            ]
            lines.append(row(cells))
    if lines:
        columns = ["Output", "Kind", "Leg", "Share", "Cause", "Node, tensor", "Mend"]
        yield folded("All causes", table(columns, ["Share"]), lines, weight=42)


def _modules(case: CaseResult) -> Iterator[Section]:
    """How the error grows through the component of a case with a failed output."""
    if case.status != "failed":
        return
    lines = []
    for entry in modules.around_the_worst(case.modules, _MOST_MODULES):
        if isinstance(entry, modules.Gap):
            lines.append(row([prose(str(entry)), *[""] * 5]))
            continue
        errors = entry.module
        local = f"{figures.number(errors.local, 2)} {entry.bar}".rstrip()
        cells = [figures.number(errors.total, 2), figures.number(errors.inherited, 2), local]
        names = (code(name) if name else "" for name in (errors.module, errors.type, errors.source))
        lines.append(row([*names, *map(unbroken, cells)]))
    if lines:
        title = f"Errors of the modules of {case.subject[:80]}, input set {case.input_set[:80]}"
        numeric = ["Total", "Inherited"]
        head = table(["Module", "Type", "Source", *numeric, "Local"], numeric)
        yield folded(title, f"{modules.MEANING}\n\n{head}", lines, weight=39)


def _passed(rows: list[OutputRow]) -> Iterator[Section]:
    """Budgets of outputs within tolerance."""
    lines = []
    for entry in rows:
        if entry.status != "passed" or entry.explained is None:
            continue
        diagnosis = entry.explained.diagnosis
        cells = [
            code(wording.label(entry.subject, entry.name)),
            unbroken(figures.factor(entry.worst.factor)),
            budget.line(diagnosis.budget, zeros=False) or budget.UNKNOWN,
            budget.mostly(diagnosis),
            prose(causes.worth_a_line(diagnosis)),
        ]
        lines.append(row(cells))
    if lines:
        head = table(["Output", "Of tolerance", "Budget", "Mostly", "Cause"], ["Of tolerance"])
        yield folded("Error budgets of what is within tolerance", head, lines, weight=15)
