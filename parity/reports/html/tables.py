"""The tables of results: titles, columns and cells; the template decides how they look."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from parity.records.results import OutputResult, Problem, Report
from parity.reports import budget, causes, figures, growth, limits, noise, selection, wording
from parity.reports.escaping import lines_of
from parity.reports.selection import OutputRow

from .cells import MOST_ROWS, Cell, Table, kind_of, table_of, unbroken


@dataclass(frozen=True)
class Unjudged:
    """What could not be judged, and the last words of the process."""

    message: str
    at: str
    fix: str
    cases: str
    lines: list[str] = field(default_factory=list)
    causes: Table | None = None


def counts(report: Report, rows: list[OutputRow]) -> list[tuple[str, str, str]]:
    """Tiles below the verdict: (tone, number, what of)."""
    found = Counter(row.status for row in rows)
    problems = sum(len(entry.cases) or 1 for entry in selection.unjudged(report))
    tiles = [
        ("failed", found["failed"], "beyond tolerance"),
        ("failed", len(limits.exceeded(report)), "beyond limits of latency or memory"),
        ("error", problems, "not judged"),
        ("grown", len(growth.grown(rows)), "grown since the baseline"),
        ("passed", found["passed"], "within tolerance"),
        ("skipped", sum(len(entry.cases) for entry in selection.skipped(report)), "skipped"),
    ]
    return [(tone, f"{number:,}", what) for tone, number, what in tiles if number]


def unjudged(report: Report) -> list[Unjudged]:
    """Each problem once, with the cases that have it."""
    return [
        Unjudged(
            entry.problem.message or "no reason is given",
            entry.problem.at,
            entry.problem.fix,
            selection.listed(entry.cases) if entry.cases else f"all of {entry.suite}",
            lines_of(entry.problem.detail),
            _causes(entry.problem),
        )
        for entry in selection.unjudged(report)
    ]


def _causes(problem: Problem) -> Table | None:
    """Tensors that were on another device, one by one."""
    lines = [
        (Cell(cause.kind), Cell(cause.tensor, code=True), Cell(cause.message), Cell(cause.remedy))
        for cause in problem.causes
    ]
    return table_of("Causes", ("Cause", "Tensor", "What is wrong", "Mend"), lines)


def grown(rows: list[OutputRow]) -> Table | None:
    """What has grown since the baseline."""
    sides = _Sides(rows)
    repeated = any(len(row.cases) > 1 for row in rows)
    lines = [
        (
            _name(entry.row),
            Cell(entry.was, sort=entry.output.growth.before if entry.output.growth else None),
            Cell(entry.now, sort=entry.output.max_abs),
            Cell(entry.times, tone="grown", sort=_or_infinite(entry.output.growth)),
            _factor(entry.row.worst),
            Cell(entry.why),
            *([_sets(entry.row, entry.sets)] if repeated else []),
            *sides.cells(entry.row),
        )
        for entry in growth.grown(rows)
    ]
    columns = ("Output", "Was", "Now", "Growth", "Of tolerance", "Why")
    more = (*(["Input sets"] if repeated else []), *sides.columns)
    numeric = ("Was", "Now", "Growth", "Of tolerance", "Input sets")
    return table_of("Grown since the baseline", (*columns, *more), lines, numeric)


def notes(report: Report, rows: list[OutputRow]) -> list[tuple[str, str]]:
    """Tolerances out of proportion, limits in doubt, what the sides had to say, what was skipped."""
    tolerances = [*wording.never_compared(rows), *noise.tolerance_notes(report, rows)]
    return [*tolerances, *limits.doubts(report), *wording.notes(report), *wording.skips(report)]


def outputs(rows: list[OutputRow]) -> Table | None:
    """One line for each output over all its input sets, the worst first."""
    sides = _Sides(rows)
    repeated = any(len(row.cases) > 1 for row in rows)
    explained = any(row.explained for row in rows)
    mostly = ["Mostly"] * explained
    columns = ("", "Output", "Max error", "Of tolerance", "Tolerance", *mostly, "Worst at", "Reference")
    lines = [
        (
            Cell(row.status, tone=row.status),
            _name(row),
            _error(row.worst),
            _factor(row.worst),
            _bound(row.worst),
            *([_mostly(row)] if explained else []),
            *_worst(row.worst),
            *([_sets(row, len(row.failing)), Cell(row.worst_case.input_set, code=True)] if repeated else []),
            *sides.cells(row),
        )
        for row in selection.worst_first(rows)[:MOST_ROWS]
    ]
    more = (*(["Input sets", "Worst in"] if repeated else []), *sides.columns)
    numeric = ("Max error", "Of tolerance", "Reference", "Candidate", "Input sets")
    return table_of("All outputs", (*columns, "Candidate", *more), lines, numeric, len(rows))


def budgets(rows: list[OutputRow]) -> Table | None:
    """Error budgets of outputs within tolerance."""
    lines = [
        (
            _name(row),
            _factor(row.worst),
            Cell(budget.line(row.explained.diagnosis.budget, zeros=False) or budget.UNKNOWN),
            Cell(budget.mostly(row.explained.diagnosis)),
            Cell(causes.worth_a_line(row.explained.diagnosis)),
        )
        for row in rows
        if row.status == "passed" and row.explained
    ]
    columns = ("Output", "Of tolerance", "Budget", "Mostly", "Cause")
    return table_of("Error budgets of what is within tolerance", columns, lines, ("Of tolerance",))


def cases(report: Report) -> Table | None:
    """Every output of every case, to be sorted and filtered; the worst are kept where there is no room."""
    found = [(case, output) for case in report.cases for output in case.outputs]
    kept = found
    if len(found) > MOST_ROWS:
        kept = sorted(found, key=lambda entry: selection.badness(entry[1]))[:MOST_ROWS]
    lines: list[tuple[Cell, ...]] = [
        (
            Cell(output.status, tone=output.status),
            Cell(case.id, code=True),
            Cell(output.name, code=True),
            _error(output),
            _factor(output),
            _bound(output),
            Cell(kind_of(wording.dtypes(output), output.shape), code=True),
        )
        for case, output in kept
    ]
    bare = [case for case in report.cases if not case.outputs][: MOST_ROWS - len(lines)]
    empty = (Cell(""),) * 5
    lines += [(Cell(case.status, tone=case.status), Cell(case.id, code=True), *empty) for case in bare]
    whole = len(found) + sum(not case.outputs for case in report.cases)
    columns = ("", "Case", "Output", "Max error", "Of tolerance", "Tolerance", "Type")
    return table_of("All cases", columns, lines, ("Max error", "Of tolerance"), whole)


class _Sides:
    """Columns that tell which suite and which two sides a row is of, where rows differ in them."""

    def __init__(self, rows: list[OutputRow]) -> None:
        self._pairs = len({row.pair for row in rows}) > 1
        self._suites = len({row.pair.suite for row in rows}) > 1
        self.columns = ("Suite",) * self._suites + ("Sides",) * self._pairs

    def cells(self, row: OutputRow) -> list[Cell]:
        """The cells of `columns`."""
        suite, pair = Cell(row.pair.suite, code=True), Cell(str(row.pair), code=True)
        return [suite] * self._suites + [pair] * self._pairs


def _name(row: OutputRow) -> Cell:
    return Cell(wording.label(row.subject, row.name), code=True)


def _error(output: OutputResult) -> Cell:
    measured = output.measurement
    if measured is None:
        return Cell(figures.MISSING, sort=math.inf)
    if measured.nonfinite.mismatched:
        return Cell("NaN/inf", sort=math.inf, tone=output.status)
    return Cell(figures.number(output.max_abs), sort=output.max_abs)


def _factor(output: OutputResult) -> Cell:
    if output.measurement is None:
        return Cell(figures.MISSING, sort=math.inf)
    factor = math.inf if output.factor is None else output.factor
    return Cell(
        figures.factor(output.factor), sort=factor, tone="failed" if output.status == "failed" else ""
    )


def _bound(output: OutputResult) -> Cell:
    return Cell(figures.tolerance(output.tolerance), listed=True)


def _worst(output: OutputResult) -> Iterator[Cell]:
    element = wording.worst_element(output)
    yield Cell(unbroken(wording.located(element)) if element else "", code=True)
    yield Cell(element.reference if element else "", code=True)
    yield Cell(element.candidate if element else "", code=True)


def _mostly(row: OutputRow) -> Cell:
    return Cell(budget.mostly(row.explained.diagnosis) if row.explained else "")


def _sets(row: OutputRow, count: int) -> Cell:
    """Of how many input sets the table is about, of all."""
    amount = f"{count:,} of " if count else ""
    return Cell(f"{amount}{len(row.cases):,}", sort=float(count))


def _or_infinite(found: object) -> float:
    factor = getattr(found, "factor", None)
    return math.inf if factor is None else float(factor)
