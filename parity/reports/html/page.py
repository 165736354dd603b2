"""The page itself: the template with the report in it, inert and self-contained.

Every text that comes out of an expression passes `escaping.visible` and then Jinja2's own escaping, so that
no part of the template can forget either. The page asks for nothing from anywhere: a content security policy
lets its own style and script run, by their hashes, and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from parity.errors import ExitCode
from parity.records.results import Report
from parity.reports import figures, growth, selection, verdict
from parity.reports.escaping import TEXT_LIMIT, visible

from . import cards, costs, loops, run_tables, tables

_TEMPLATES = Path(__file__).parent / "templates"
_TONES = {ExitCode.PASSED: "passed", ExitCode.FAILED: "failed"}
_MARKS = {"passed": "✓", "failed": "✗", "error": "!"}


def render(report: Report) -> str:
    """The report as one HTML document."""
    rows = selection.output_rows(report)
    tone = _TONES.get(verdict.exit_code(report), "error")
    page: str = (
        _environment()
        .get_template("report.html.j2")
        .render(
            tone=tone,
            mark=_MARKS[tone],
            headline=verdict.headline(report),
            about=_about(report),
            counts=tables.counts(report, rows),
            cards=cards.of_report(report, rows),
            left_out=cards.left_out(rows),
            limits=costs.exceeded(report),
            loops=loops.of_rows(rows),
            costs=costs.costs(report),
            unjudged=tables.unjudged(report),
            grown=tables.grown(rows),
            notes=[*growth.notes(report, rows), *tables.notes(report, rows)],
            outputs=tables.outputs(rows),
            budgets=tables.budgets(rows),
            cases=tables.cases(report),
            run=run_tables.about_the_run(report),
            report=report,
        )
    )
    return page


def _about(report: Report) -> list[str]:
    sets = {(case.suite, case.input_set) for case in report.cases}
    return [
        selection.listed(dict.fromkeys(str(selection.pair_of(case)) for case in report.cases), most=4),
        figures.counted(len(report.cases), "case"),
        figures.counted(len(sets), "input set"),
        figures.seconds(report.duration_s),
        f"parity {report.tool_version}",
        report.started_at,
    ]


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalized,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    style, script = ((_TEMPLATES / name).read_text("utf-8") for name in ("report.css", "report.js"))
    environment.globals |= {
        "style": Markup(style),  # noqa: S704 - our own files
        "script": Markup(script),  # noqa: S704
        "policy": f"default-src 'none'; img-src data:; style-src '{_hash(style)}'; "
        f"script-src '{_hash(script)}'; base-uri 'none'; form-action 'none'",
    }
    return environment


def _finalized(value: Any) -> Any:
    """Any text of an expression: on one line, with nothing in it that can't be seen."""
    return value if isinstance(value, Markup) or not isinstance(value, str) else visible(value, TEXT_LIMIT)


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
