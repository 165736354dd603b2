"""The steps of loops: a small plot of each output, the table of all of them, and all steps of what failed.

The plots are of errors in multiples of the tolerance: its line is at 1 whatever the criterion is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from parity.records.results import Status, StepResult
from parity.reports import selection, steps, wording
from parity.reports.selection import OutputRow

from .cells import Cell, Table, table_of
from .plots import Scale, thinned

MOST_PLOTS = 24
_MOST_POINTS = 400  # of a line
_MOST_MARKS = 60  # points that are drawn each, with their figures
_MOST_STEPS = 1_000  # rows of the table of one output
_WIDTH, _HEIGHT = 360.0, 180.0  # in units of the plot
_LEFT, _RIGHT, _TOP, _BOTTOM = 52.0, 14.0, 14.0, 26.0
_LABEL = 160.0  # width of a label

Line = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Mark:
    """A step on the candidate's own state."""

    x: float
    y: float
    is_beyond: bool
    title: str


@dataclass(frozen=True)
class Label:
    """The first step beyond the tolerance: a line at `x` with a text beside it."""

    x: float
    text_x: float
    text_y: float
    anchor: str
    step: int


@dataclass(frozen=True)
class LoopPlot:
    """A line is the points (x, y) of one stretch: there is a gap where nothing could be measured."""

    name: str
    status: Status
    trend: str
    alone: str
    left: float
    right: float
    floor: float
    width: float
    height: float
    grid: tuple[tuple[float, str], ...]
    tolerance: float
    free_lines: tuple[Line, ...]
    alone_lines: tuple[Line, ...]
    marks: tuple[Mark, ...]
    ticks: tuple[tuple[float, str], ...]
    first_beyond: Label | None


@dataclass(frozen=True)
class Loops:
    """All that there is on loops: `left_out` counts outputs without a plot."""

    plots: tuple[LoopPlot, ...]
    left_out: int
    table: Table
    about: str
    failed: tuple[Table, ...]


def of_rows(rows: list[OutputRow]) -> Loops | None:
    """None where no output is of a loop."""
    looped = [row for row in selection.worst_first(rows) if row.worst.steps]
    table = _table(looped)
    if table is None:
        return None
    return Loops(
        plots=tuple(map(_plot, looped[:MOST_PLOTS])),
        left_out=max(0, len(looped) - MOST_PLOTS),
        table=table,
        about=steps.ALONE,
        failed=tuple(filter(None, map(_every_step, selection.failed(looped)))),
    )


def _table(looped: list[OutputRow]) -> Table | None:
    lines = []
    for row in looped:
        loop = steps.loop_figures(row.worst.steps)
        told = (loop.first, loop.last, loop.growth, loop.beyond, loop.alone, loop.alone_factor)
        lines.append(
            (
                Cell(row.status, tone=row.status),
                Cell(wording.label(row.subject, row.name), code=True),
                Cell(loop.bars, tone="bars"),
                *map(Cell, told),
            )
        )
    numeric = ("First", "Last", "A step", "Beyond from", "Alone", "Of tolerance")
    return table_of("Steps", ("", "Output", "Error by step", *numeric), lines, numeric)


def _every_step(row: OutputRow) -> Table | None:
    lines = []
    for number, step in enumerate(row.worst.steps[:_MOST_STEPS], 1):
        told = steps.step_figures(number, step)
        lines.append(
            (
                Cell(told.number),
                Cell(told.error),
                Cell(told.factor, tone=_tone(step.status)),
                Cell(told.alone),
                Cell(told.alone_factor, tone=_tone(step.alone_status)),
            )
        )
    columns = ("Step", "Max error", "Of tolerance", "Alone", "Alone, of tolerance")
    return table_of(
        f"Steps of {wording.label(row.subject, row.name)}", columns, lines, columns, len(row.worst.steps)
    )


def _tone(status: Status) -> str:
    return "" if status == "passed" else status


def _plot(row: OutputRow) -> LoopPlot:
    found = row.worst.steps
    free, alone = [step.factor for step in found], [step.alone_factor for step in found]
    place = _Place(len(found), [factor for factor in (*free, *alone, 1.0) if factor is not None])
    beyond = steps.first_beyond(found)
    return LoopPlot(
        name=wording.label(row.subject, row.name),
        status=row.status,
        trend=steps.trend(found),
        alone=steps.alone(found),
        left=_LEFT,
        right=_WIDTH - _RIGHT,
        floor=_HEIGHT - _BOTTOM,
        width=_WIDTH,
        height=_HEIGHT,
        grid=tuple(place.grid()),
        tolerance=place.y(1.0),
        free_lines=tuple(_lines(free, place)),
        alone_lines=tuple(_lines(alone, place)),
        marks=tuple(_marks(found, place)),
        ticks=tuple((place.x(step), str(step)) for step in sorted({1, (len(found) + 1) // 2, len(found)})),
        first_beyond=place.label(beyond) if beyond else None,
    )


class _Place:
    """Where a step and a multiple of the tolerance are in a plot."""

    def __init__(self, count: int, factors: Sequence[float]) -> None:
        self._count = count
        self._scale = Scale.over(factors) or Scale(-1, 1)

    def x(self, step: int) -> float:
        """Of a step, which is counted from 1."""
        part = (step - 1) / (self._count - 1) if self._count > 1 else 0.5
        return _LEFT + 10 + part * (_WIDTH - _RIGHT - _LEFT - 20)

    def y(self, factor: float | None) -> float:
        """Of a factor; at the top where it is infinite or could not be measured."""
        part = 1.0 if factor is None else self._scale.part(factor)
        return _HEIGHT - _BOTTOM - part * (_HEIGHT - _BOTTOM - _TOP)

    def label(self, step: int) -> Label:
        """Above the tolerance on the left, where no step is; without room there, below on the right."""
        x = self.x(step)
        if x > _LEFT + _LABEL:
            return Label(x, x - 6, _TOP + 10, "end", step)
        return Label(x, x + 6, _HEIGHT - _BOTTOM - 8, "start", step)

    def grid(self) -> Iterator[tuple[float, str]]:
        """Lines of powers of ten and their labels."""
        for power in thinned(self._scale.decades):
            yield self.y(10.0**power), f"1e{power}"


def _lines(factors: Sequence[float | None], place: _Place) -> Iterator[Line]:
    points = steps.stretched(factors, _MOST_POINTS)
    for is_known, stretch in groupby(points, key=lambda entry: entry[1] is not None):
        if is_known:
            yield tuple((place.x(step), place.y(factor)) for step, factor in stretch)


def _marks(found: Sequence[StepResult], place: _Place) -> Iterator[Mark]:
    """All steps of a short loop; of a long one those that have no place on the line."""
    numbered = list(enumerate(found, 1))
    if len(numbered) > _MOST_MARKS:
        numbered = [(number, step) for number, step in numbered if step.factor is None][:_MOST_MARKS]
    for number, step in numbered:
        told = steps.step_figures(number, step)
        alone = f"; alone {told.alone}, {told.alone_factor or step.alone_status}"
        title = f"step {number}: {told.error}, {told.factor} the tolerance{alone}"
        yield Mark(place.x(number), place.y(step.factor), step.status != "passed", title)
