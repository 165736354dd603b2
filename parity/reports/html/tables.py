"""The tables of the page: titles, columns and cells; the template decides how they look."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from parity.records.jobs import MODEL
from parity.records.outcomes import Setting
from parity.records.results import OutputResult, Report, SuiteResult
from parity.reports import budget, causes, figures, growth, noise, selection, wording
from parity.reports.escaping import lines_of
from parity.reports.selection import OutputRow

MOST_ROWS = 5_000  # of results: a browser sorts them at once, and the page stays below 10 MB


@dataclass(frozen=True)
class Cell:
    """A text. `code`: a name of a model or user. `sort`: what a column of figures is sorted by."""

    text: str
    code: bool = False
    sort: float | None = None
    tone: str = ""


@dataclass(frozen=True)
class Table:
    """`numeric` are the columns of figures; `left_out` counts rows for which there is no room."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    numeric: frozenset[str] = frozenset()
    head: str = ""
    left_out: int = 0


@dataclass(frozen=True)
class Unjudged:
    """What could not be judged, and the last words of the process."""

    message: str
    at: str
    fix: str
    cases: str
    lines: list[str] = field(default_factory=list)


def counts(report: Report, rows: list[OutputRow]) -> list[tuple[str, str, str]]:
    """Tiles below the verdict: (tone, number, what of)."""
    found = Counter(row.status for row in rows)
    problems = sum(len(entry.cases) or 1 for entry in selection.unjudged(report))
    tiles = [
        ("failed", found["failed"], "beyond tolerance"),
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
        )
        for entry in selection.unjudged(report)
    ]


def grown(rows: list[OutputRow]) -> Table | None:
    """What has grown since the baseline."""
    lines = [
        (
            _name(entry.row),
            Cell(entry.was, sort=entry.output.growth.before if entry.output.growth else None),
            Cell(entry.now, sort=entry.output.max_abs),
            Cell(entry.times, tone="grown", sort=_or_infinite(entry.output.growth)),
            _factor(entry.row.worst),
            Cell(entry.why),
        )
        for entry in growth.grown(rows)
    ]
    columns = ("Output", "Was", "Now", "Growth", "Of tolerance", "Why")
    return _table("Grown since the baseline", columns, lines, ("Was", "Now", "Growth", "Of tolerance"))


def notes(report: Report, rows: list[OutputRow]) -> list[tuple[str, str]]:
    """Tolerances out of proportion, what the sides had to say, what was skipped."""
    return [*noise.tolerance_notes(report, rows), *wording.notes(report), *wording.skips(report)]


def outputs(rows: list[OutputRow]) -> Table | None:
    """One line for each output over all its input sets, the worst first."""
    several = len({row.pair for row in rows}) > 1
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
            *([_sets(row)] if repeated else []),
            *([Cell(str(row.pair), code=True)] if several else []),
        )
        for row in selection.worst_first(rows)[:MOST_ROWS]
    ]
    more = (*(["Input sets"] if repeated else []), *(["Sides"] if several else []))
    numeric = ("Max error", "Of tolerance", "Reference", "Candidate", "Input sets")
    return _table("All outputs", (*columns, "Candidate", *more), lines, numeric, len(rows))


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
    return _table("Error budgets of what is within tolerance", columns, lines, ("Of tolerance",))


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
            Cell(_kind(output.dtype, output.shape), code=True),
        )
        for case, output in kept
    ]
    bare = [case for case in report.cases if not case.outputs][: MOST_ROWS - len(lines)]
    empty = (Cell(""),) * 5
    lines += [(Cell(case.status, tone=case.status), Cell(case.id, code=True), *empty) for case in bare]
    whole = len(found) + sum(not case.outputs for case in report.cases)
    columns = ("", "Case", "Output", "Max error", "Of tolerance", "Tolerance", "Type")
    return _table("All cases", columns, lines, ("Max error", "Of tolerance"), whole)


def about_the_run(report: Report) -> list[Table]:
    """Latency, effective settings, exports, inputs, environment."""
    found = [_performance(report)]
    for suite in report.suites:
        found += [_settings(suite), _exports(suite)]
    found += [_inputs(report), _environment(report)]
    return [table for table in found if table is not None]


def _performance(report: Report) -> Table | None:
    lines = [
        (
            Cell(row.subject, code=True),
            Cell(figures.milliseconds(row.reference.latency_ms), sort=row.reference.latency_ms),
            Cell(figures.milliseconds(row.candidate.latency_ms), sort=row.candidate.latency_ms),
            Cell(figures.ratio(row.candidate.latency_ms, row.reference.latency_ms)),
            Cell(wording.peak_memory(row.reference)),
            Cell(wording.peak_memory(row.candidate)),
            Cell(wording.timed_set(row), code=True),
            Cell(str(row.pair), code=True),
        )
        for row in selection.performance_rows(report)
    ]
    numeric = ("Reference", "Candidate", "Ratio", "Memory, reference", "Memory, candidate")
    return _table("Latency and peak memory", ("Timed", *numeric, "Input set", "Sides"), lines, numeric)


def _settings(suite: SuiteResult) -> Table | None:
    """What was in force on each side, as it was read back."""
    names = dict.fromkeys(name for side in suite.sides for name in side.settings)
    lines = [
        (Cell("device"), *(Cell(side.device_name, code=True) for side in suite.sides)),
        (Cell("versions"), *(Cell(_versions(side.versions)) for side in suite.sides)),
        *(
            (
                Cell(name, code=True),
                *(
                    Cell(_value(side.settings[name]) if name in side.settings else "", code=True)
                    for side in suite.sides
                ),
            )
            for name in names
        ),
    ]
    title = f"Effective settings of {suite.name}, {suite.numerics} numerics"
    return _table(title, ("Setting", *(side.side for side in suite.sides)), lines if suite.sides else [])


def _exports(suite: SuiteResult) -> Table | None:
    lines = [
        (
            Cell(component, code=True),
            Cell(", ".join(f"{key} {_value(value)}" for key, value in settings.items()), code=True),
        )
        for component, settings in suite.exports.items()
    ]
    return _table(f"Exports of {suite.name}", ("Component", "Settings"), lines)


def _inputs(report: Report) -> Table | None:
    found = dict.fromkeys(
        (
            case.suite,
            case.input_set,
            tensor.name,
            _kind(tensor.dtype, tensor.shape),
            tensor.sha256,
        )
        for case in report.cases
        for tensor in case.inputs
    )
    lines = [tuple(Cell(text, code=True) for text in entry[1:]) for entry in found]
    return _table("Inputs", ("Set", "Input", "Type", "SHA-256"), lines[:MOST_ROWS], (), len(lines))


def _environment(report: Report) -> Table | None:
    here = report.environment
    facts = {
        "parity": report.tool_version,
        "started": report.started_at,
        "Python": here.python,
        "platform": here.platform,
        "processor": f"{here.processor}, {figures.counted(here.cores, 'core')}",
        "memory": figures.size(here.memory_bytes),
        "packages": _versions(here.versions),
    }
    return _table("Environment", ("", "value"), [(Cell(name), Cell(text)) for name, text in facts.items()])


def _table(
    title: str,
    columns: Sequence[str],
    rows: Iterable[tuple[Cell, ...]],
    numeric: Sequence[str] = (),
    whole: int | None = None,
) -> Table | None:
    kept = tuple(rows)
    if not kept:
        return None
    rest = 0 if whole is None else whole - len(kept)
    return Table(title, tuple(columns), kept, frozenset(numeric), left_out=rest)


def _kind(dtype: str, shape: tuple[int, ...]) -> str:
    """``float32[1, 5, 128, 128]``; empty where nothing was there."""
    return f"{dtype}{figures.bracketed(shape)}" if dtype else ""


def _name(row: OutputRow) -> Cell:
    return Cell(row.name if row.subject == MODEL else wording.label(row.subject, row.name), code=True)


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
    return Cell(", ".join(map(_unbroken, figures.tolerance(output.tolerance).split(", "))))


def _unbroken(text: str) -> str:
    return text.replace(" ", "\u00a0")


def _worst(output: OutputResult) -> Iterator[Cell]:
    element = wording.worst_element(output)
    yield Cell(_unbroken(figures.bracketed(element.index)) if element else "", code=True)
    yield Cell(element.reference if element else "", code=True)
    yield Cell(element.candidate if element else "", code=True)


def _mostly(row: OutputRow) -> Cell:
    return Cell(budget.mostly(row.explained.diagnosis) if row.explained else "")


def _sets(row: OutputRow) -> Cell:
    amount = f"{len(row.failing):,} of " if row.failing else ""
    return Cell(f"{amount}{len(row.cases):,}", sort=float(len(row.failing)))


def _or_infinite(found: object) -> float:
    factor = getattr(found, "factor", None)
    return math.inf if factor is None else float(factor)


def _versions(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _value(value: Setting) -> str:
    return "true" if value is True else "false" if value is False else "null" if value is None else str(value)
