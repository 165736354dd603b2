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
from rich.text import Text

from parity.errors import ExitCode
from parity.records.jobs import PIPELINE
from parity.records.results import Report

from . import figures, grouping, growth, limits, noise, selection, verdict, wording
from .console_blocks import Marked, failure_block, grown_line, limit_block, passed_block, unjudged_block
from .console_tables import WIDE, budgets_table, heading, outputs_table, performance_table, steps_table
from .escaping import visible
from .progress import ProgressView
from .sections import by_pair
from .selection import OutputRow

__all__ = ["ProgressView", "print_report", "report_console"]

_LOG_WIDTH = 110  # columns of a log, which has no width of its own
_MOST_DETAILED = 3  # reasons of failed outputs with all their figures: it should stay one screen
_MOST_GROWN = 8


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
    for pair, of_pair in by_pair(rows):
        console.print(heading(report, pair), no_wrap=True, overflow="ellipsis")
        console.print(outputs_table(of_pair, wide=console.width >= WIDE))
        console.print()
        if looped := [row for row in of_pair if row.worst.steps]:
            console.print(steps_table(looped))
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
        console.print(performance_table(timed, wide=console.width >= WIDE))
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
        console.print(budgets_table(passed))
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
