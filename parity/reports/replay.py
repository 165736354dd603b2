"""How to see a failed case again, in words: with the gate, and from the folder that was saved without it."""

from __future__ import annotations

import shlex

from parity.records.results import CaseResult, Repro

from .selection import OutputRow


def again(row: OutputRow, spec: str) -> list[tuple[str, str]]:
    """How to see the worst case of a failed row again, (name, text): with the gate, and without it.

    `spec` is the specification's path.
    """
    return _again(row.worst_case, saved(row), spec)


def case_again(case: CaseResult, spec: str) -> list[tuple[str, str]]:
    """`again` of one failed case."""
    return _again(case, case.repro or Repro(), spec)


def saved(row: OutputRow) -> Repro:
    """What was saved of the row's component: of one of its cases, not always the worst of this output."""
    return next((case.repro for case in row.cases if case.repro), Repro())


def _again(case: CaseResult, repro: Repro, spec: str) -> list[tuple[str, str]]:
    script = f"python {repro.folder}/repro.py, in the folder of the reports" if repro.folder else ""
    return [
        ("replay", shlex.join(["parity", "run", spec, "--case", case.id])),
        ("repro", "; ".join(filter(None, (script, repro.note)))),
    ]
