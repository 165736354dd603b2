"""The text of the comment on a pull request."""

from __future__ import annotations

import hashlib
import json
import re

from parity import __version__
from parity.records.results import Report
from parity.reports import markdown
from parity.reports.escaping import code

from . import history
from .context import Context
from .history import State

SIZE_LIMIT = 60_000  # bytes of UTF-8; GitHub refuses a comment of more than 65,536 characters
_KEY_LENGTH = 60


def comment_key(name: str, job: str = "", matrix: str = "") -> str:
    """The key of a comment: one for each name, job and place in the matrix, in ``[A-Za-z0-9._-]``.

    Args:
        name: what the workflow calls it; may be empty.
        job: id of the job.
        matrix: the job's values of the matrix as JSON; ``null`` or empty without one.
    """
    values = _matrix(matrix)
    parts = [name, job, *(str(value) for value in _leaves(values))]
    readable = re.sub(r"[^A-Za-z0-9._]+", "-", "-".join(filter(None, parts))).strip("-")[:_KEY_LENGTH]
    # Two jobs whose readable parts are alike must not fight for one comment.
    exact = hashlib.sha256(json.dumps([name, job, values], sort_keys=True).encode()).hexdigest()[:8]
    return f"{readable.rstrip('-')}-{exact}" if readable else exact


def marker(key: str) -> str:
    """The first line of a comment, by which the next run finds it."""
    return f"<!-- onnx-parity:{key} -->"


def is_marked(body: str, key: str) -> bool:
    """Whether the comment is the one of this key."""
    return body.split("\n", 1)[0].rstrip() == marker(key)


def render(report: Report, key: str, context: Context, state: State, before: State | None = None) -> str:
    """The whole comment, in at most `SIZE_LIMIT` bytes: passing rows go first, never the verdict.

    Args:
        report: untrusted.
        key: of `comment_key`.
        context: of this run.
        state: of this report.
        before: state of the comment as it stands.
    """
    head = f"{marker(key)}\n"
    tail = f"\n{_origin(context)}\n\n{history.written(state)}\n"
    room = SIZE_LIMIT - len(head.encode()) - len(tail.encode())
    return head + markdown.render(report, room, [*history.since(report, before)]) + tail


def _origin(context: Context) -> str:
    said = [f"commit {code(context.commit[:7])}"] if context.commit else []
    if context.run_url:
        said.append(f"[run and artifacts]({context.run_url})")
    return f"<sub>{' · '.join([*said, f'parity {__version__}'])}</sub>"


def _matrix(text: str) -> object:
    try:
        return json.loads(text) if text.strip() else None
    except (ValueError, RecursionError):
        return text  # no JSON: as good as any other value to tell jobs apart


def _leaves(value: object) -> list[object]:
    match value:
        case None:
            return []
        case dict():
            return [leaf for key in sorted(value) for leaf in _leaves(value[key])]
        case list():
            return [leaf for entry in value for leaf in _leaves(entry)]
        case _:
            return [value]
