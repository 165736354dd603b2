"""What a run costs: limits of latency and memory that are exceeded, and the figures of all sides as bars."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from parity.records.results import Report, SidePerformance
from parity.reports import limits, selection, wording
from parity.reports.limits import LimitRow, SideRow
from parity.reports.selection import PerformanceRow

from .cells import Cell, Meter, Table, table_of


@dataclass(frozen=True)
class LimitCard:
    """A limit that the candidate is beyond; `bars` are (side, width), `limit` where it would be exceeded."""

    name: str
    said: str
    sides: str
    bars: tuple[tuple[str, float], ...]
    limit: float
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Costs:
    """The one table of all sides and devices, and how its figures came about."""

    about: str
    table: Table


def exceeded(report: Report) -> list[LimitCard]:
    """A card for each limit that the candidate is beyond."""
    return [_card(row) for row in limits.exceeded(report)]


def _card(row: LimitRow) -> LimitCard:
    check = row.check
    reference, candidate = check.reference or 0.0, check.candidate or 0.0
    allowed = check.limit * reference
    scale = _Scale([candidate, allowed, reference])
    return LimitCard(
        name=wording.label(row.subject, check.limit_name),
        said=limits.title(row),
        sides=str(row.pair),
        bars=(("reference", scale.part(reference)), ("candidate", scale.part(candidate))),
        limit=scale.part(allowed),
        facts=tuple(limits.facts(row)),
    )


def costs(report: Report) -> Costs | None:
    """Latency and memory of each side of each subject that was timed; None where none was."""
    rows = selection.performance_rows(report)
    if not rows:
        return None
    on_gpu = limits.has_device_memory(rows)
    subjects = len({row.subject for row in rows}) > 1
    suites = len({row.pair.suite for row in rows}) > 1
    lines = []
    for row in rows:
        scales = _Scales([each for each in rows if each.subject == row.subject])
        sides = zip(limits.side_rows(row), ("reference", "candidate"), _costs(row), strict=True)
        for told, kind, cost in sides:
            lines.append(
                (
                    Cell(told.side, code=True),
                    *_figures(told, kind, cost, scales, on_gpu=on_gpu),
                    Cell(wording.timed_set(row), code=True),
                    *([Cell(row.subject, code=True)] if subjects else []),
                    *([Cell(row.pair.suite, code=True)] if suites else []),
                )
            )
    numeric = ("Min", "Median", "90 %", "Ratio", "Own memory", *(["On the GPU"] if on_gpu else []))
    numeric = (*numeric, "Peak memory")
    columns = (
        "Side",
        *numeric,
        "Input set",
        *(["Timed"] if subjects else []),
        *(["Suite"] if suites else []),
    )
    table = table_of("Latency and memory", columns, lines, numeric)
    return Costs(limits.how_measured(rows), table) if table else None


def _figures(told: SideRow, kind: str, cost: SidePerformance, scales: _Scales, *, on_gpu: bool) -> list[Cell]:
    spread = (cost.latency_min_ms, cost.latency_p90_ms)
    latency = scales.latency.meter(kind, cost.latency_ms, spread)
    device = [Cell(told.device, meter=scales.memory.meter(kind, cost.device_bytes))] if on_gpu else []
    return [
        Cell(told.least),
        Cell(told.median, meter=latency),
        Cell(told.p90),
        Cell(told.ratio),
        Cell(told.host, meter=scales.memory.meter(kind, cost.own_bytes)),
        *device,
        Cell(told.peak),
    ]


class _Scale:
    """A linear one from 0 to the greatest value."""

    def __init__(self, values: Iterable[float | None]) -> None:
        self._most = max((value for value in values if value is not None), default=0.0)

    def part(self, value: float) -> float:
        """Per cent of the greatest value."""
        return 100 * min(max(value / self._most, 0.0), 1.0) if self._most > 0 else 0.0

    def meter(
        self, kind: str, value: float | None, spread: tuple[float | None, float | None] = (None, None)
    ) -> Meter | None:
        """None where nothing was measured."""
        if value is None:
            return None
        low, high = spread
        known = None if low is None or high is None else (self.part(low), self.part(high))
        return Meter(kind, self.part(value), known)


class _Scales:
    """Those of one subject, whose devices are to be held against each other."""

    def __init__(self, rows: list[PerformanceRow]) -> None:
        sides = [side for row in rows for side in _costs(row)]
        self.latency = _Scale(value for s in sides for value in (s.latency_ms, s.latency_p90_ms))
        self.memory = _Scale(value for s in sides for value in (s.own_bytes, s.device_bytes))


def _costs(row: PerformanceRow) -> tuple[SidePerformance, SidePerformance]:
    return row.reference, row.candidate
