"""`parity publish RESULTS`: a finished run on GitHub's pages, as the action's report step has it.

It runs none of the user's code and holds the token; the results it reads are untrusted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from parity.commands.rendering import prepare
from parity.errors import CannotJudge, ExitCode
from parity.github import files, history, outputs, sticky
from parity.github.annotations import all_annotations
from parity.github.comment import comment_key, render
from parity.github.context import Context, read_context
from parity.github.receiving import receive
from parity.github.sticky import Mode
from parity.github.workflow_commands import commands_stopped, warning
from parity.records.results import Report
from parity.registry import REPORTERS
from parity.reports import markdown, verdict
from parity.reports.escaping import visible
from parity.reports.writing import SOURCE, write_reports


@dataclass(frozen=True)
class Options:
    """What `parity publish` takes beside the results.

    Args:
        comment: when to write the pull request's comment.
        key: name of the comment; jobs and places in the matrix are told apart without it.
        matrix: the job's values of the matrix as JSON.
        exit_status: that the gate ended with.
        pull_request: its number where the event has none.
        shown_as: folder of the reports as later steps see it; None: where the results are.
        summary: whether to write the step summary.
    """

    comment: Mode = "always"
    key: str = ""
    matrix: str = ""
    exit_status: int | None = None
    pull_request: int | None = None
    shown_as: Path | None = None
    summary: bool = True


def run(results_path: str, options: Options) -> ExitCode:
    """Writes annotations, step summary, outputs and comment; makes the other reports again.

    Returns:
        The exit status that the results ask for; without results, that of what could not be judged. What
        GitHub refuses is a warning and changes nothing about it.

    Raises:
        SpecError: the event's payload can't be read.
        CannotJudge: the outputs, which the workflow decides by, can't be written.
    """
    prepare(sys.stdout)
    context = read_context(os.environ, options.pull_request)
    try:
        return _publish(Path(results_path), options, context)
    except Exception:
        # A report that breaks this program must not leave the steps after it without a verdict.
        _write_outputs(context, {"status": "error"})
        raise


def _publish(results_path: Path, options: Options, context: Context) -> ExitCode:
    report = receive(results_path, options.exit_status)
    for entry in all_annotations(report, context.workspace):
        _say(str(entry))
    paths = _write_reports(report, results_path, options, context)
    _write_outputs(context, outputs.of_report(report, paths))
    if options.summary:
        _write_summary(report, context)
    comment = _comment(report, options, context)
    _write_outputs(context, {"comment-id": "" if comment is None else str(comment)})
    with commands_stopped(sys.stdout):
        names = ", ".join(visible(suite.name) for suite in report.suites[:8])
        _say(f"parity: {verdict.headline(report)} ({names})")
    return verdict.exit_code(report)


def _write_reports(
    report: Report, results_path: Path, options: Options, context: Context
) -> Mapping[str, Path]:
    """Makes the reports again, for those beside the results are untrusted too; gives their paths."""
    names = [name for name in REPORTERS if name != SOURCE]
    try:
        written = [*write_reports(report, results_path.parent, names)]
    except CannotJudge as error:
        _say(warning(f"the reports were not made again: {error.problem}"))
        written = []
    shown = options.shown_as or results_path.parent
    if context.workspace is not None and shown.is_absolute() and shown.is_relative_to(context.workspace):
        shown = shown.relative_to(context.workspace)
    if results_path.is_file() and not results_path.is_symlink():
        written.append(SOURCE)
    return {name: shown / (results_path.name if name == SOURCE else name) for name in written}


def _write_outputs(context: Context, values: Mapping[str, str]) -> None:
    if context.outputs is None:
        return
    try:
        files.append_outputs(context.outputs, values)
    except OSError as error:
        raise CannotJudge(
            f"the outputs can't be written: {error.strerror or error}", at="GITHUB_OUTPUT"
        ) from error


def _write_summary(report: Report, context: Context) -> None:
    if context.step_summary is None:
        return
    try:
        room = files.summary_room(context.step_summary)
        if not room:
            _say(warning("no step summary: what this step wrote before leaves no room for it"))
            return
        files.append_summary(context.step_summary, markdown.render(report, room))
    except OSError as error:
        _say(warning(f"no step summary: {error.strerror or error}"))


def _comment(report: Report, options: Options, context: Context) -> int | None:
    """The id of the comment as it stands now; None where there is none."""
    if options.comment == "off":
        return None
    if context.pull_request is None or not context.repository:
        _say("parity: no pull request, so no comment")
        return None
    if not context.token:
        _say(warning("no comment: GITHUB_TOKEN is not set"))
        return None
    from parity.github.api import ApiError, PullRequestComments

    key = comment_key(options.key, context.job, options.matrix)
    state = history.state_of(report, context.commit)
    try:
        comments = PullRequestComments(
            context.api_url, context.token, context.repository, context.pull_request.number
        )
        kept = sticky.keep(
            comments,
            key,
            state,
            lambda before: render(report, key, context, state, before),
            options.comment,
        )
    except ApiError as error:
        _say(warning(sticky.why_not(error, context.pull_request)))
        return None
    for problem in kept.warnings:
        _say(warning(problem))
    _say(f"parity: comment {kept.action}")
    return kept.id


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201
