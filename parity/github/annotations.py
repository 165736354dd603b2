"""Marks in the diff: each failed output on the line of the specification that states its tolerance."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from parity.records.measurements import Tolerance
from parity.records.results import Report
from parity.reports import budget, causes, figures, growth, limits, selection, wording
from parity.reports.growth import Grown
from parity.reports.limits import LimitRow
from parity.reports.selection import OutputRow, Unjudged

from .workflow_commands import Level, command

MOST = 10  # of one level in one step; GitHub drops the rest without a word
_MOST_CAUSES = 3
_IMAGE_WORKSPACES = ("/workspace", "/github/workspace")  # where the image finds the repository
_PLACE = re.compile(r"(?P<file>[^\n]+?):(?P<line>\d{1,9})(?::(?P<column>\d{1,9}))?")


@dataclass(frozen=True)
class Annotation:
    """A message on a place of the repository; without `file` it stands on the run's page."""

    level: Level
    title: str
    message: str
    file: str = ""
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        """The line that makes the runner show it."""
        line, column = (number if number and number > 0 else None for number in (self.line, self.column))
        place = {"file": self.file, "line": line, "col": column} if self.file else {}
        return command(self.level, self.message, {**place, "title": self.title})


def all_annotations(report: Report, workspace: Path | None = None) -> list[Annotation]:
    """At most `MOST` of each level, the worst first; where there are more, the last one says so.

    Args:
        report: untrusted.
        workspace: the checkout's folder, which paths of the report may start with.
    """
    rows = selection.failed(selection.output_rows(report))
    problems, exceeded = selection.unjudged(report), limits.exceeded(report)
    skipped = selection.skipped(report)
    # One more than there is room for shows that there are more.
    errors = [_of_output(report, row, workspace) for row in rows[: MOST + 1]]
    errors += [_of_limit(report, row, workspace) for row in exceeded[: MOST + 1]]
    errors += [_of_problem(report, entry, workspace) for entry in problems[: MOST + 1]]
    grown = [entry for entry in growth.grown(selection.output_rows(report)) if entry.row.status != "failed"]
    warnings = [_of_grown(report, entry, workspace) for entry in grown[: MOST + 1]]
    notices = [_of_skipped(entry) for entry in skipped[: MOST + 1]]
    return [
        *_at_most(errors, len(rows) + len(exceeded) + len(problems), "error"),
        *_at_most(warnings, len(grown), "warning"),
        *_at_most(notices, len(skipped), "notice"),
    ]


def repository_path(path: str, workspace: Path | None = None) -> str:
    """The path from the root of the repository; empty for one that leads out of it."""
    normal = posixpath.normpath(path) if path else ""
    if normal.startswith("/"):
        for root in (*([workspace.as_posix()] if workspace else []), *_IMAGE_WORKSPACES):
            if normal.startswith(f"{root.rstrip('/')}/"):
                return normal.removeprefix(f"{root.rstrip('/')}/")
        return ""
    return "" if normal in ("", ".", "..") or normal.startswith("../") else normal


def _at_most(entries: Sequence[Annotation], amount: int, level: Level) -> Sequence[Annotation]:
    """The first of `amount` entries, and one for the rest where there is no room for all."""
    if amount <= MOST:
        return entries
    rest = amount - MOST + 1
    more = Annotation(level, f"{rest:,} more", f"{rest:,} more like these are in the step summary")
    return [*entries[: MOST - 1], more]


def _of_output(report: Report, row: OutputRow, workspace: Path | None) -> Annotation:
    worst, stated = row.worst, row.worst.tolerance or Tolerance(pattern="")
    label = wording.label(row.subject, row.name)
    far = wording.how_far(worst) or "not comparable"
    facts = [*_figures(row), *_reasons(row)]
    return Annotation(
        "error",
        f"{label}: {far}",
        "\n".join(text for text in facts if text),
        repository_path(wording.spec_file(report, row.pair.suite), workspace),
        stated.line,
        stated.column,
    )


def _figures(row: OutputRow) -> list[str]:
    worst, element = row.worst, wording.worst_element(row.worst)
    stated = f", tolerance {figures.tolerance(worst.tolerance)}" if worst.tolerance else ""
    error = "" if worst.max_abs is None else f"greatest error {figures.number(worst.max_abs)}{stated}"
    place = f"worst at {figures.bracketed(element.index)}: {wording.values(element)}" if element else ""
    sets = wording.failing_sets(row)
    return [worst.problem, error, place, f"input sets: {sets}" if sets else "", f"sides: {row.pair}"]


def _reasons(row: OutputRow) -> list[str]:
    """The leg of the error budget, where it starts, why, and what mends it."""
    if row.explained is None:
        return []
    diagnosis = row.explained.diagnosis
    told = [("mostly", budget.sentence(diagnosis)), *causes.facts(diagnosis)]
    shown = [f"{name}: {text}" for name, text in told if text and name in ("mostly", "starts at", "because")]
    remedies = [f"{name}: {text}" for name, text in told if text and name == "mend"]
    return [*shown, *remedies[:_MOST_CAUSES]]


def _of_limit(report: Report, row: LimitRow, workspace: Path | None) -> Annotation:
    found = _PLACE.fullmatch(row.check.at)
    told = [f"{name}: {text}" for name, text in [*limits.facts(row), ("sides", str(row.pair))] if text]
    return Annotation(
        "error",
        f"{wording.label(row.subject, row.check.limit_name)}: {limits.title(row)}",
        "\n".join(told),
        repository_path(wording.spec_file(report, row.pair.suite), workspace),
        int(found["line"]) if found else None,
        int(found["column"]) if found and found["column"] else None,
    )


def _of_grown(report: Report, entry: Grown, workspace: Path | None) -> Annotation:
    stated = entry.output.tolerance or Tolerance(pattern="")
    return Annotation(
        "warning",
        f"{wording.label(entry.row.subject, entry.row.name)} has grown since the baseline",
        f"{entry}\nsides: {entry.row.pair}",
        repository_path(wording.spec_file(report, entry.row.pair.suite), workspace),
        stated.line,
        stated.column,
    )


def _of_problem(report: Report, entry: Unjudged, workspace: Path | None) -> Annotation:
    problem = entry.problem
    found = _PLACE.fullmatch(problem.at)
    # Another place, such as a checkpoint, is told in the message; the mark is on the specification.
    file = found["file"] if found else wording.spec_file(report, entry.suite)
    whose = selection.listed(entry.cases, most=4) if entry.cases else f"all of {entry.suite}"
    told = [
        problem.message or "no reason is given",
        f"at {problem.at}" if problem.at and not found else "",
        f"fix: {problem.fix}" if problem.fix else "",
        whose,
    ]
    return Annotation(
        "error",
        "could not be judged",
        "\n".join(text for text in told if text),
        repository_path(file, workspace),
        int(found["line"]) if found else None,
        int(found["column"]) if found and found["column"] else None,
    )


def _of_skipped(entry: Unjudged) -> Annotation:
    whose = selection.listed(entry.cases, most=4)
    return Annotation("notice", "skipped", f"{entry.problem.message}\n{whose}")
