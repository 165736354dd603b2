"""The folded section of `summary.md` with all figures of each output that failed."""

from __future__ import annotations

from collections.abc import Iterator

from parity.records.results import Report

from . import budget, replay, selection, wording
from .document import Section, folded, row, table
from .escaping import TEXT_LIMIT, code, prose
from .selection import OutputRow


def every_figure(report: Report, rows: list[OutputRow]) -> Iterator[Section]:
    """A table for each output: the figures, how to see it again, and the legs of its budget with bars."""
    blocks = []
    for entry in selection.failed(rows):
        spec = wording.spec_file(report, entry.pair.suite)
        facts = [
            ("problem", entry.worst.problem),
            *wording.facts(entry.worst, spec),
            ("input sets", wording.failing_sets(entry)),
            *replay.again(entry, spec),
        ]
        lines = [row([name, _said(name, text)]) for name, text in facts if text]
        lines += _budget(entry)
        heading = table([code(wording.label(entry.subject, entry.name)), code(str(entry.pair))])
        blocks.append(f"{heading}{''.join(lines)}\n")
    if blocks:
        yield folded("Figures of what is beyond tolerance", "", blocks, weight=40)


def _said(name: str, text: str) -> str:
    """A command as code, of which nothing else comes along when it is copied."""
    return code(text, TEXT_LIMIT) if name == "replay" else prose(text)


def _budget(entry: OutputRow) -> list[str]:
    """One line for each leg, with its bar, and what follows from them."""
    legs = budget.legs(entry.explained.diagnosis.budget) if entry.explained else []
    lines = [row([leg.name, f"{leg} {leg.bar}".rstrip()]) for leg in legs]
    return lines + [row([name, prose(text)]) for name, text in budget.row_conclusions(entry) if text]
