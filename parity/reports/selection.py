"""What a report shows, and in which order: one row for each output over all its input sets, worst first.

A suite with forty input sets has one row for an output, not forty: its worst case, and over how many.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from msgspec.structs import replace

from parity.records.diagnosis import Diagnosis
from parity.records.results import (
    CaseResult,
    OutputResult,
    Problem,
    Report,
    SidePerformance,
    Status,
    WorstCase,
)

from .case_problems import OF_OUTPUT, case_problems

WORST_STATUS_FIRST: tuple[Status, ...] = ("failed", "error", "passed", "skipped")
_NO_REASON = Problem(kind="skipped", message="no reason is given")
_NO_CASE = Problem(kind="empty", message="no case of the suite was run")


@dataclass(frozen=True)
class Pair:
    """What was compared with what in one suite: ``torch@cpu`` with ``onnxruntime@cpu``."""

    suite: str
    reference: str
    candidate: str

    def __str__(self) -> str:
        return f"{self.reference} → {self.candidate}"


@dataclass(frozen=True)
class Diagnosed:
    """An output in one case that has an error budget."""

    output: OutputResult
    case: CaseResult
    diagnosis: Diagnosis


@dataclass(frozen=True)
class OutputRow:
    """One output of one subject over all input sets; `worst` is its result in `worst_case`.

    `results` are all that it has; `diagnosed` those that have an error budget, the worst first, and `worst`
    need not be among them.
    """

    pair: Pair
    subject: str
    name: str
    worst: OutputResult
    worst_case: CaseResult
    results: tuple[tuple[OutputResult, CaseResult], ...]
    failing: tuple[CaseResult, ...]
    diagnosed: tuple[Diagnosed, ...]

    @property
    def cases(self) -> tuple[CaseResult, ...]:
        return tuple(case for _, case in self.results)

    @property
    def status(self) -> Status:
        return self.worst.status

    @property
    def explained(self) -> Diagnosed | None:
        """The budget that stands for the row: of its worst result that has one and is of the row's status.

        The budget of an input set that passed does not say why another one failed.
        """
        return next((entry for entry in self.diagnosed if entry.output.status == self.status), None)


@dataclass(frozen=True)
class Unjudged:
    """One problem and all the cases that have it; no case when it is the whole suite's."""

    suite: str
    problem: Problem
    cases: tuple[str, ...]


@dataclass(frozen=True)
class PerformanceRow:
    """One subject's latency, in the input set where the candidate does worst, of `timed` that were timed.

    Peak memory is the greatest of all cases of the pair.
    """

    pair: Pair
    subject: str
    input_set: str
    timed: int
    reference: SidePerformance
    candidate: SidePerformance


def output_rows(report: Report) -> list[OutputRow]:
    """All outputs in the order of the report."""
    found: dict[tuple[Pair, str, str], list[tuple[OutputResult, CaseResult]]] = {}
    for case in report.cases:
        for output in case.outputs:
            key = (pair_of(case), case.subject, output.name)
            found.setdefault(key, []).append((output, case))
    rows = []
    for (pair, subject, name), results in found.items():
        result, case = min(results, key=lambda entry: badness(entry[0]))
        failing = tuple(case for output, case in results if output.status == "failed")
        diagnosed = [Diagnosed(out, case, out.diagnosis) for out, case in results if out.diagnosis]
        diagnosed.sort(key=lambda entry: badness(entry.output))
        rows.append(OutputRow(pair, subject, name, result, case, tuple(results), failing, tuple(diagnosed)))
    return rows


def worst_cases(report: Report) -> tuple[WorstCase, ...]:
    """The case in which each output did worst."""
    return tuple(
        WorstCase(
            suite=row.pair.suite,
            reference=row.pair.reference,
            candidate=row.pair.candidate,
            subject=row.subject,
            output=row.name,
            status=row.worst.status,
            factor=row.worst.factor,
            case=row.worst_case.id,
            input_set=row.worst_case.input_set,
        )
        for row in output_rows(report)
    )


def worst_first(rows: Iterable[OutputRow]) -> list[OutputRow]:
    """Failed rows before all others, the greatest factor first."""
    return sorted(rows, key=lambda row: badness(row.worst))


def failed(rows: Iterable[OutputRow]) -> list[OutputRow]:
    """The rows beyond tolerance, worst first."""
    return worst_first(row for row in rows if row.status == "failed")


def unjudged(report: Report) -> list[Unjudged]:
    """All problems, equal ones of a suite's cases together."""
    ran = {case.suite for case in report.cases}
    of_suites = [
        (suite.name, suite.problem or _NO_CASE, None)
        for suite in report.suites
        if suite.problem or suite.name not in ran
    ]
    of_cases = [(case.suite, problem, case.id) for case in report.cases for problem in case_problems(case)]
    return _together([*of_suites, *of_cases])


def skipped(report: Report) -> list[Unjudged]:
    """What was declared as not to be judged, with its reason, whole cases and single outputs."""
    entries = []
    for case in report.cases:
        if case.status == "skipped":
            entries.append((case.suite, case.problem or _NO_REASON, case.id))
        for output in case.outputs:
            if output.status == "skipped":
                reason = Problem(kind=OF_OUTPUT, message=output.problem) if output.problem else _NO_REASON
                entries.append((case.suite, reason, f"{case.id}/{output.name}"))
    return _together(entries)


def _together(entries: Iterable[tuple[str, Problem, str | None]]) -> list[Unjudged]:
    found: dict[tuple[str, ...], tuple[Problem, list[str]]] = {}
    for suite, problem, case in entries:
        key = (suite, problem.kind, problem.message, problem.at, problem.fix)
        cases = found.setdefault(key, (problem, []))[1]
        if case is not None:
            cases.append(case)
    return [Unjudged(key[0], problem, tuple(cases)) for key, (problem, cases) in found.items()]


def performance_rows(report: Report) -> list[PerformanceRow]:
    """One row for each subject of a pair that was timed on either side."""
    timed: dict[tuple[Pair, str], list[CaseResult]] = {}
    of_pair: dict[Pair, list[CaseResult]] = {}
    for case in report.cases:
        of_pair.setdefault(pair_of(case), []).append(case)
        if (case.reference_performance.latency_ms, case.candidate_performance.latency_ms) != (None, None):
            timed.setdefault((pair_of(case), case.subject), []).append(case)
    rows = []
    for (pair, subject), cases in timed.items():
        slowest = max(cases, key=_slowdown)
        alike = of_pair[pair]
        reference = _with_peaks(slowest.reference_performance, [c.reference_performance for c in alike])
        candidate = _with_peaks(slowest.candidate_performance, [c.candidate_performance for c in alike])
        rows.append(PerformanceRow(pair, subject, slowest.input_set, len(cases), reference, candidate))
    return rows


def pair_of(case: CaseResult) -> Pair:
    """The suite and the two sides of a case."""
    return Pair(case.suite, case.reference, case.candidate)


def listed(names: Iterable[str], most: int = 8) -> str:
    """``0, 3, 7 and 12 more``."""
    every = list(names)
    rest = len(every) - most
    return ", ".join(every[:most]) + (f" and {rest:,} more" if rest > 0 else "")


def badness(output: OutputResult) -> tuple[int, float, float]:
    """Sorts the worst first: by status, then factor (a failure without one is infinite), then error."""
    unknown = float("inf") if output.status == "failed" else -1.0
    factor = unknown if output.factor is None else output.factor
    return WORST_STATUS_FIRST.index(output.status), -factor, -(output.max_abs or 0.0)


def _slowdown(case: CaseResult) -> float:
    """Candidate's latency over the reference's; infinite where a side was not timed: that is to be seen."""
    reference, candidate = case.reference_performance.latency_ms, case.candidate_performance.latency_ms
    return candidate / reference if reference and candidate is not None else float("inf")


def _with_peaks(timed: SidePerformance, alike: list[SidePerformance]) -> SidePerformance:
    return replace(
        timed,
        peak_rss_bytes=max((s.peak_rss_bytes for s in alike if s.peak_rss_bytes is not None), default=None),
        peak_device_bytes=max(
            (s.peak_device_bytes for s in alike if s.peak_device_bytes is not None), default=None
        ),
    )
