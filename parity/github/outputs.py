"""The outputs of the step that publishes a report, for the steps and jobs after it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from parity.errors import ExitCode
from parity.records.results import Report
from parity.reports import growth, selection, verdict, wording

Verdict = Literal["passed", "failed", "error"]

# Steps of others paste outputs into shell scripts: a name of the model must not be a command there.
_UNSAFE = re.compile(r"[^A-Za-z0-9 ._/:+=@-]")
_NAME_LIMIT = 160
_PATHS = {
    "junit-path": "junit.xml",
    "json-path": "results.json",
    "summary-path": "summary.md",
    "html-path": "report.html",
}


def status(report: Report) -> Verdict:
    """``passed``, ``failed``, or ``error`` where it could not be judged."""
    match verdict.exit_code(report):
        case ExitCode.PASSED:
            return "passed"
        case ExitCode.FAILED:
            return "failed"
        case _:
            return "error"


def of_report(report: Report, paths: Mapping[str, Path]) -> dict[str, str]:
    """Every output but `comment-id`, in the order of action.yml.

    Args:
        report: untrusted.
        paths: of the reports that were written, by file name.

    Counts are of outputs over all input sets, as the summary's; `errors` counts what could not be judged,
    in cases and whole suites; `skipped` cases and single outputs; `grown` outputs since the baseline.
    `worst-ratio` is a multiple of the tolerance, ``inf`` where that is infinite.
    """
    rows = selection.output_rows(report)
    counts = Counter(row.status for row in rows)
    judged = [row for row in selection.worst_first(rows) if row.status in ("passed", "failed")]
    worst = judged[0] if judged else None
    ratio = "" if worst is None else "inf" if worst.worst.factor is None else f"{worst.worst.factor:.6g}"
    # A passed output without a factor had nothing to measure.
    ratio = "" if worst is not None and worst.status == "passed" and ratio == "inf" else ratio
    return {
        "status": status(report),
        "passed": str(counts["passed"]),
        "failed": str(counts["failed"]),
        "errors": str(sum(len(entry.cases) or 1 for entry in selection.unjudged(report))),
        "grown": str(len(growth.grown(rows))),
        "skipped": str(sum(len(entry.cases) for entry in selection.skipped(report))),
        "worst-output": _safe(wording.label(worst.subject, worst.name)) if worst else "",
        "worst-ratio": ratio,
        **{name: str(paths.get(file, "")) for name, file in _PATHS.items()},
    }


def _safe(name: str) -> str:
    return _UNSAFE.sub("_", name)[:_NAME_LIMIT]
