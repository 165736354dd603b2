"""Latency, memory and their limits in words and rows: what every report says about what a run costs."""

from __future__ import annotations

from dataclasses import dataclass

from parity.records.results import CaseResult, LimitName, PerformanceCheck, Report, SidePerformance

from . import figures, selection, wording
from .selection import Pair, PerformanceRow

_WHAT: dict[LimitName, str] = {"max_latency_ratio": "latency", "max_memory_ratio": "peak memory"}


@dataclass(frozen=True)
class LimitRow:
    """A limit of latency or memory of one subject, in the worst of the `cases` that it was judged in."""

    pair: Pair
    subject: str
    check: PerformanceCheck
    case: CaseResult
    cases: tuple[CaseResult, ...]


@dataclass(frozen=True)
class SideRow:
    """One side of a subject that was timed; `ratio` is empty on the reference's row.

    `host` is what the process holds more than before it loaded a model, `device` what it holds of the GPU,
    and `peak` all of its memory in any case that was run.
    """

    side: str
    least: str
    median: str
    p90: str
    host: str
    device: str
    peak: str
    ratio: str


def limit_rows(report: Report) -> list[LimitRow]:
    """One row for each limit of each subject, in the order of the report."""
    found: dict[tuple[Pair, str, str], list[tuple[PerformanceCheck, CaseResult]]] = {}
    for case in report.cases:
        for check in case.performance:
            key = (selection.pair_of(case), case.subject, check.limit_name)
            found.setdefault(key, []).append((check, case))
    rows = []
    for (pair, subject, _), checks in found.items():
        check, case = min(checks, key=lambda entry: _excess(entry[0]))
        rows.append(LimitRow(pair, subject, check, case, tuple(case for _, case in checks)))
    return rows


def exceeded(report: Report) -> list[LimitRow]:
    """The limits that the candidate is beyond."""
    return [row for row in limit_rows(report) if row.check.status == "failed"]


def _excess(check: PerformanceCheck) -> tuple[int, float]:
    """Sorts the worst first."""
    return selection.WORST_STATUS_FIRST.index(check.status), -(check.ratio or 0.0)


def how_measured(rows: list[PerformanceRow]) -> str:
    """How the figures of these rows came about; of one row at least."""
    side = rows[0].reference
    return (
        f"{figures.counted(side.runs, 'run')} of each side, in turns, after {side.warmup} to warm up. "
        "Own memory is the peak while they ran, without what the process held before it loaded the model; "
        "peak memory is all of it, in any case that was run."
    )


def side_rows(row: PerformanceRow) -> tuple[SideRow, SideRow]:
    """The reference's row and the candidate's."""
    ratio = figures.ratio(row.candidate.latency_ms, row.reference.latency_ms)
    return _side(row.pair.reference, row.reference, ""), _side(row.pair.candidate, row.candidate, ratio)


def has_device_memory(rows: list[PerformanceRow]) -> bool:
    """Whether any side has figures of a GPU's memory."""
    return any(side.device_bytes for row in rows for side in (row.reference, row.candidate))


def title(row: LimitRow) -> str:
    """``latency 1.83 x the reference's``."""
    return f"{_WHAT[row.check.limit_name]} {figures.multiple(row.check.ratio)} the reference's"


def facts(row: LimitRow) -> list[tuple[str, str]]:
    """All figures of a limit, (name, text); a fact that does not apply has no text."""
    check = row.check
    at_least = figures.multiple(check.at_least) if check.at_least is not None else ""
    sets = f"{row.case.input_set}, worst of {len(row.cases):,}" if len(row.cases) > 1 else row.case.input_set
    return [
        ("median" if check.unit == "ms" else "peak", amounts(check)),
        ("at least", f"{at_least}, noise allowed for" if at_least else ""),
        ("limit", f"{check.limit_name} {figures.limit(check.limit)} at {check.at}"),
        ("input set", sets),
        ("note", check.problem),
    ]


def amounts(check: PerformanceCheck) -> str:
    """``220 ms → 403 ms``, of the reference and of the candidate."""
    return f"{_amount(check, check.reference)} → {_amount(check, check.candidate)}"


def doubts(report: Report) -> list[tuple[str, str]]:
    """Limits that are kept, if not beyond doubt, (subject, note)."""
    return [
        (
            wording.label(row.subject, row.check.limit_name),
            f"{title(row)} is {row.check.problem} (limit {figures.limit(row.check.limit)} x, {row.pair})",
        )
        for row in limit_rows(report)
        if row.check.status == "passed" and row.check.problem
    ]


def _amount(check: PerformanceCheck, value: float | None) -> str:
    if check.unit == "ms" or value is None:
        return figures.milliseconds(value)
    return f"{figures.size(round(value))}{' on the device' if 'device' in check.unit else ''}"


def _side(side: str, cost: SidePerformance, ratio: str) -> SideRow:
    return SideRow(
        side=side,
        least=figures.milliseconds(cost.latency_min_ms),
        median=figures.milliseconds(cost.latency_ms),
        p90=figures.milliseconds(cost.latency_p90_ms),
        host=figures.size(cost.own_bytes),
        device=figures.size(cost.device_bytes),
        peak=wording.peak_memory(cost),
        ratio=ratio,
    )
