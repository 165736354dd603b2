"""The report on a terminal or in a log: a table for each pair of sides, what is wrong, then the verdict.

Texts from models and user code stand behind a mark or a rule, never at the start of a line, where a CI
runner would obey ``::commands::``; all of them pass `escaping.visible`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from parity.errors import ExitCode
from parity.records.jobs import MODEL, PIPELINE
from parity.records.results import Report, Status

from . import budget, causes, figures, grouping, growth, limits, noise, selection, steps, verdict, wording
from .console_blocks import Marked, failure_block, grown_line, limit_block, passed_block, unjudged_block
from .escaping import visible
from .progress import ProgressView
from .selection import OutputRow, Pair

__all__ = ["ProgressView", "print_report", "report_console"]

_MARKS: dict[Status, tuple[str, str]] = {
    "passed": ("✓", "green"),
    "failed": ("✗", "bold red"),
    "error": ("!", "bold yellow"),
    "skipped": ("-", "dim"),
}
_LOG_WIDTH = 110  # columns of a log, which has no width of its own
_WIDE = 100  # from here on there is room for the worst index
_MOST_PASSING = 40  # rows of a table; the failed ones are all there
_MOST_DETAILED = 3  # reasons of failed outputs with all their figures: it should stay one screen
_MOST_BUDGETS = 8  # rows of outputs that passed
_MOST_LOOPS = 12  # rows of outputs of loops
_MOST_GROWN = 8
_SIDE_WIDTH = 24  # columns that a side's name has at least: the input set's gives way


def report_console(stream: TextIO | None = None) -> Console:
    """A console for `print_report`, on stdout by default; colours as NO_COLOR and the terminal say."""
    stream = stream or sys.stdout
    if (reconfigure := getattr(stream, "reconfigure", None)) is not None:
        reconfigure(errors="replace")  # a ✓ must not end the run where the locale has none
    console = Console(file=stream, markup=False, emoji=False, highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = _LOG_WIDTH
    return console


def print_report(
    report: Report, paths: Mapping[str, Path], console: Console | None = None, *, diagnosed: bool = False
) -> None:
    """Prints the whole report, on stdout by default.

    Args:
        report: of a run.
        paths: of the files that were written, for the last line; see `writing.write_reports`.
        console: where to; see `report_console`.
        diagnosed: show the budget of every output that has one, passed or failed, however many there are.
    """
    console = console or report_console()
    rows = selection.output_rows(report)
    for pair, of_pair in selection.by_pair(rows):
        console.print(_heading(report, pair), no_wrap=True, overflow="ellipsis")
        console.print(_outputs_table(of_pair, wide=console.width >= _WIDE))
        console.print()
        if looped := [row for row in of_pair if row.worst.steps]:
            console.print(_steps_table(looped))
            console.print()
    _print_failures(report, rows, console, most=len(rows) if diagnosed else _MOST_DETAILED)
    for exceeded in limits.exceeded(report):
        console.print(limit_block(exceeded))
        console.print()
    _print_budgets(rows, console, in_full=diagnosed)
    for entry in selection.unjudged(report):
        console.print(unjudged_block(entry))
        console.print()
    if timed := selection.performance_rows(report):
        console.print(_performance_table(timed, wide=console.width >= _WIDE))
        console.print()
    _print_grown(rows, console)
    asides = [*wording.notes(report), *wording.skips(report), *growth.notes(report, rows)]
    asides += [*wording.never_compared(rows), *noise.tolerance_notes(report, rows)]
    asides += limits.doubts(report)
    for subject, note in asides:
        told = Text.assemble((f"{visible(subject)}  ", "dim"), visible(note, 400))
        console.print(Marked(told, "·", "dim"))
    if asides:
        console.print()
    console.print(_verdict(report, paths))


def _print_failures(report: Report, rows: list[OutputRow], console: Console, most: int) -> None:
    """A block for each of at most `most` reasons of failed outputs, and how many outputs are left out."""
    found = grouping.groups(selection.failed(rows))
    detailed = grouping.in_detail(found, most)
    for group in detailed:
        console.print(failure_block(report, group))
        console.print()
    told = {id(row) for group in detailed for row in group.rows}
    left_out = [row for group in found for row in group.rows if id(row) not in told]
    if left_out:
        chain = all(row.subject == PIPELINE and row.explained is None for row in left_out)
        whose = f" of the {PIPELINE}, which is diagnosed by its components" if chain and told else ""
        more = figures.counted(len(left_out), "more failed output")
        console.print(Text(f"✗ {more}{whose}, all in summary.md\n", "red"))


def _print_budgets(rows: list[OutputRow], console: Console, *, in_full: bool) -> None:
    """Budgets of outputs that passed: a line each where all passed, or a block each where that is asked."""
    passed = [row for row in rows if row.status == "passed" and row.explained]
    if in_full:
        for row in passed:
            console.print(passed_block(row))
            console.print()
    elif passed and not selection.failed(rows):
        console.print(_budgets_table(passed))
        console.print()


def _print_grown(rows: list[OutputRow], console: Console) -> None:
    """A line for each of the first outputs that have grown since the baseline."""
    found = growth.grown(rows)
    for entry in found[:_MOST_GROWN]:
        console.print(grown_line(entry))
    if (rest := len(found) - _MOST_GROWN) > 0:
        console.print(Text(f"▲ {rest:,} more have grown, all in summary.md", "yellow"))
    if found:
        console.print()


def _budgets_table(rows: list[OutputRow]) -> Table:
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


def _heading(report: Report, pair: Pair) -> Text:
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


def _outputs_table(rows: list[OutputRow], *, wide: bool) -> Table:
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
    for subject, of_subject in selection.by_subject(shown):
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


def _performance_table(rows: list[selection.PerformanceRow], *, wide: bool) -> Table:
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


def _steps_table(rows: list[OutputRow]) -> Table:
    """How the errors of the outputs of loops grow, a line for each."""
    table = _table("steps", "")
    for row in rows[:_MOST_LOOPS]:
        mark, style = _MARKS[row.status]
        name = _line("  ", (mark, style), " ", visible(wording.label(row.subject, row.name)))
        table.add_row(name, _line((steps.course(row.worst), style if row.status == "failed" else "dim")))
    if (rest := len(rows) - _MOST_LOOPS) > 0:
        table.add_row(_line((f"  {figures.counted(rest, 'more output')}", "dim")), "")
    return table


def _verdict(report: Report, paths: Mapping[str, Path]) -> Text:
    code = verdict.exit_code(report)
    mark, style = {
        ExitCode.PASSED: ("✓", "bold green"),
        ExitCode.FAILED: ("✗", "bold red"),
    }.get(code, ("!", "bold yellow"))
    about = [figures.counted(len(report.cases), "case"), figures.seconds(report.duration_s)]
    folders = dict.fromkeys(path.parent for path in paths.values())
    about += [f"reports in {visible(str(folder))}" for folder in folders]
    return Text.assemble((f"{mark} {verdict.headline(report)}", style), (f"  {', '.join(about)}", "dim"))


def _table(*columns: Column | str) -> Table:
    return Table(*columns, box=None, padding=(0, 2, 0, 0), header_style="dim", show_edge=False)


def _numeric(name: str, width: int) -> Column:
    """A column of figures: on the right, and never shortened, whatever else has to give."""
    return Column(name, justify="right", no_wrap=True, min_width=max(width, len(name)))


def _line(*parts: str | tuple[str, str]) -> Text:
    """Text that is cut off where there is no room, not wrapped."""
    return Text.assemble(*parts, no_wrap=True, overflow="ellipsis")
