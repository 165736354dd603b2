"""The tables of the console: outputs, steps of loops, error budgets, latency."""

from __future__ import annotations

from rich.table import Column, Table
from rich.text import Text

from parity.records.jobs import MODEL
from parity.records.results import Report, Status

from . import budget, causes, figures, limits, selection, steps, wording
from .console_blocks import Marked
from .escaping import visible
from .sections import by_subject
from .selection import OutputRow, Pair

_MARKS: dict[Status, tuple[str, str]] = {
    "passed": ("✓", "green"),
    "failed": ("✗", "bold red"),
    "error": ("!", "bold yellow"),
    "skipped": ("-", "dim"),
}
WIDE = 100  # from here on there is room for the worst index
_MOST_PASSING = 40  # rows of a table; the failed ones are all there
_MOST_BUDGETS = 8  # rows of outputs that passed
_MOST_LOOPS = 12  # rows of outputs of loops
_SIDE_WIDTH = 24  # columns that a side's name has at least: the input set's gives way


def budgets_table(rows: list[OutputRow]) -> Table:
    """The budget of each output, and its first cause where it is worth a line."""
    table = _table("error budget", "")
    for row in rows[:_MOST_BUDGETS]:
        assert row.explained is not None
        diagnosis = row.explained.diagnosis
        name = visible(wording.label(row.subject, row.name))
        said = budget.line(diagnosis.budget, zeros=False) or budget.sentence(diagnosis)
        table.add_row(_line("  ", name), _line((said, "dim")))
        if cause := causes.worth_a_line(diagnosis):
            table.add_row("", _line((visible(cause), "dim")))
    if (rest := len(rows) - _MOST_BUDGETS) > 0:
        table.add_row(
            _line((f"  {figures.counted(rest, 'more budget')}", "dim")), _line(("in summary.md", "dim"))
        )
    return table


def heading(report: Report, pair: Pair) -> Text:
    """The line above the outputs of a pair of sides."""
    suite = next((suite for suite in report.suites if suite.name == pair.suite), None)
    sets = {case.input_set for case in report.cases if selection.pair_of(case) == pair}
    about = [figures.counted(len(sets), "input set")]
    if suite:
        about += [f"{visible(suite.numerics)} numerics", visible(suite.spec_file)]
    return _line(
        ("suite ", "dim"),
        (visible(pair.suite), "bold"),
        f"  {visible(str(pair))}",
        (f"  {', '.join(about)}", "dim"),
    )


def outputs_table(rows: list[OutputRow], *, wide: bool) -> Table:
    """The outputs of a pair of sides, by subject; `wide` has the places of the worst elements too."""
    repeated = any(len(row.cases) > 1 for row in rows)
    table = _table(
        "output",
        _numeric("max error", 10),
        _numeric("of tolerance", 12),
        "tolerance",
        *([_numeric("input sets" if wide else "sets", 8)] if repeated else []),
        *(["worst at"] if wide else []),
    )
    shown, hidden = _bounded(rows)
    named = {row.subject for row in rows} != {MODEL}
    for subject, of_subject in by_subject(shown):
        if named:
            table.add_row(_line(("· ", "dim"), (visible(subject), "bold")))
        for row in of_subject:
            cells = [*_cells(row), *([_sets(row)] if repeated else [])]
            table.add_row(*cells, *([_worst_at(row)] if wide else []))
    if hidden:
        table.add_row(_line((f"  {figures.counted(hidden, 'more output')} within tolerance", "dim")))
    return table


def _cells(row: OutputRow) -> list[Text]:
    """Name, greatest error, factor, tolerance."""
    mark, style = _MARKS[row.status]
    output, measured = row.worst, row.worst.measurement
    name = _line("  ", (mark, style), " ", visible(output.name))
    stated = Text(figures.tolerance(output.tolerance), "dim")
    if measured is None:
        # A shape, a dtype or the output itself is not as it should be: the block below says which.
        return [name, Text(figures.MISSING, "dim"), Text(row.status, style), stated]
    beyond = style if row.status == "failed" else ""
    error = "NaN/inf" if measured.nonfinite.mismatched else figures.number(output.max_abs)
    return [name, Text(error, beyond), Text(figures.factor(output.factor), beyond), stated]


def _sets(row: OutputRow) -> Text:
    if row.failing:
        return Text(f"{len(row.failing):,} of {len(row.cases):,}", "red")
    return Text(f"{len(row.cases):,}", "dim")


def _worst_at(row: OutputRow) -> Text:
    element = wording.worst_element(row.worst)
    place = wording.located(element) if element else ""
    of_set = f"in {visible(row.worst_case.input_set)}" if len(row.cases) > 1 else ""
    return _line((f"{place} {of_set}".strip(), "dim"))


def _bounded(rows: list[OutputRow]) -> tuple[list[OutputRow], int]:
    """All rows that did not pass and the first of those that did, and how many are left out."""
    passing = [row for row in rows if row.status == "passed"]
    left_out = set(map(id, passing[_MOST_PASSING:]))
    return [row for row in rows if id(row) not in left_out], len(left_out)


def performance_table(rows: list[selection.PerformanceRow], *, wide: bool) -> Table:
    """Two rows for each pair of sides: what each of them takes."""
    on_gpu, subjects = limits.has_device_memory(rows), len({row.subject for row in rows}) > 1
    columns = [("min", 9), ("median", 9), ("p90", 9)] if wide else [("median", 9)]
    columns += [("ratio", 7), ("own memory", 10), *([("on the GPU", 10)] if on_gpu else []), ("peak", 9)]
    sides = [
        f"{row.subject if subjects else ''}  {side.side}" for row in rows for side in limits.side_rows(row)
    ]
    name = Column("latency", min_width=min(max(map(len, sides)), _SIDE_WIDTH))
    table = _table(name, *(_numeric(name, width) for name, width in columns), "input set")
    for row in rows:
        named = f"{visible(row.subject)}  " if subjects else ""
        for side, of_set in zip(limits.side_rows(row), (visible(wording.timed_set(row)), ""), strict=True):
            told = [side.least, side.median, side.p90] if wide else [side.median]
            told += [side.ratio, side.host, *([side.device] if on_gpu else []), side.peak]
            # Sides may differ in their last characters alone.
            told_side = Text.assemble(named, visible(side.side), overflow="fold")
            table.add_row(Marked(told_side, "·", "dim"), *map(Text, told), _line((of_set, "dim")))
    return table


def steps_table(rows: list[OutputRow]) -> Table:
    """How the errors of the outputs of loops grow, a line for each."""
    table = _table("steps", "")
    for row in rows[:_MOST_LOOPS]:
        mark, style = _MARKS[row.status]
        name = _line("  ", (mark, style), " ", visible(wording.label(row.subject, row.name)))
        table.add_row(name, _line((steps.course(row.worst), style if row.status == "failed" else "dim")))
    if (rest := len(rows) - _MOST_LOOPS) > 0:
        table.add_row(_line((f"  {figures.counted(rest, 'more output')}", "dim")), "")
    return table


def _table(*columns: Column | str) -> Table:
    return Table(*columns, box=None, padding=(0, 2, 0, 0), header_style="dim", show_edge=False)


def _numeric(name: str, width: int) -> Column:
    """A column of figures: on the right, and never shortened, whatever else has to give."""
    return Column(name, justify="right", no_wrap=True, min_width=max(width, len(name)))


def _line(*parts: str | tuple[str, str]) -> Text:
    """Text that is cut off where there is no room, not wrapped."""
    return Text.assemble(*parts, no_wrap=True, overflow="ellipsis")
