"""Errors that have grown since the baseline, in words. docs/baseline.md tells what counts as growth.

The words hold texts of models as they are; each report makes them inert in its own way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from parity.records.results import CaseResult, OutputResult, Report, SuiteResult

from . import causes, figures, wording
from .selection import OutputRow, listed

_MOST_NAMED = 5


@dataclass(frozen=True)
class Grown:
    """A row that has grown: its result where it has grown most, and in how many input sets it has at all."""

    row: OutputRow
    output: OutputResult
    case: CaseResult
    sets: int

    @property
    def was(self) -> str:
        """``3.10e-5``."""
        return figures.number(self.output.growth.before if self.output.growth else None)

    @property
    def now(self) -> str:
        """``0.0200``."""
        return figures.number(self.output.max_abs)

    @property
    def times(self) -> str:
        """``645 x``."""
        return figures.factor(self.output.growth.factor if self.output.growth else None)

    @property
    def why(self) -> str:
        """The first cause, where the result was diagnosed; else empty."""
        found = self.output.diagnosis
        return causes.worth_a_line(found) if found else ""

    def __str__(self) -> str:
        """``grown 645 x since the baseline: was 3.10e-5, now 0.0200``, and the first cause."""
        exact = self.output.growth is None or not self.output.growth.before
        grown = "no longer exact as in" if exact else f"grown {self.times} since"
        was = "" if exact else f"was {self.was}, "
        said = f"{grown} the baseline: {was}now {self.now}"
        return f"{said}; {self.why}" if self.why else said


def grown(rows: Iterable[OutputRow]) -> list[Grown]:
    """The rows that have grown, the largest growth first."""
    found = [entry for row in rows if (entry := _grown(row)) is not None]
    return sorted(found, key=lambda entry: -_growth(entry.output))


def notes(report: Report, rows: list[OutputRow]) -> Iterator[tuple[str, str]]:
    """What else there is to know of each baseline, (suite, text): what is new, and that nothing has grown."""
    for suite in report.suites:
        if suite.baseline is not None:
            of_suite = [row for row in rows if row.pair.suite == suite.name]
            yield from ((suite.name, text) for text in _of_suite(suite, of_suite))


def _of_suite(suite: SuiteResult, rows: list[OutputRow]) -> Iterator[str]:
    assert suite.baseline is not None
    states = {id(row): _states(row) for row in rows}
    new = [row for row in rows if "new" in states[id(row)]]
    known = [row for row in rows if states[id(row)] - {"new", ""}]
    file, allowed = suite.baseline.file, f"{figures.limit(suite.baseline.max_growth)} x"
    if new and not known:
        yield f"{file} knows none of these outputs: nothing was held against it"
        return
    if new:
        names = listed((wording.label(row.subject, row.name) for row in new), most=_MOST_NAMED)
        yield f"new since {file} with some or all input sets, so not held against it: {names}"
    if known and not any("grown" in states[id(row)] for row in rows):
        yield f"nothing has grown since {file}, by more than {allowed} and than rounding"


def _states(row: OutputRow) -> set[str]:
    return {output.growth.state if output.growth else "" for output, _ in row.results}


def _grown(row: OutputRow) -> Grown | None:
    found = [entry for entry in row.results if entry[0].growth and entry[0].growth.state == "grown"]
    if not found:
        return None
    output, case = max(found, key=lambda entry: _growth(entry[0]))
    return Grown(row, output, case, len(found))


def _growth(output: OutputResult) -> float:
    factor = output.growth.factor if output.growth else None
    return float("inf") if factor is None else factor
