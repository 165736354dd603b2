"""One comment for each key on a pull request, kept up to date instead of posted again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from .api import ApiError, Comment, PullRequestComments
from .comment import is_marked
from .context import PullRequest
from .history import State, is_news, read

Mode = Literal["always", "changes", "failures", "off"]
Action = Literal["created", "updated", "unchanged", "not wanted"]
MODES: tuple[Mode, ...] = ("always", "changes", "failures", "off")

_FORBIDDEN, _NOT_FOUND, _UNPROCESSABLE = 403, 404, 422


@dataclass(frozen=True)
class Kept:
    """What was done to the comment of this `id`, None where there is none; `warnings` are not about it."""

    action: Action
    id: int | None = None
    warnings: list[str] = field(default_factory=list)


def keep(
    comments: PullRequestComments,
    key: str,
    state: State,
    compose: Callable[[State | None], str],
    mode: Mode = "always",
) -> Kept:
    """Creates or updates the comment of `key`, unless it says the same already, and removes its duplicates.

    Args:
        comments: of the pull request.
        key: of `comment_key`.
        state: of the report.
        compose: the body, from the state of the comment as it stands.
        mode: when to write.

    Raises:
        ApiError: the comment could not be written.
    """
    author = comments.author()
    # Somebody else's comment with the marker in it is none of ours, however it came there.
    found = [each for each in comments.all() if each.author == author and is_marked(each.body, key)]
    own = sorted(found, key=lambda each: each.id)
    before = read(own[0].body) if own else None
    if before is not None and before.digest == state.digest:
        return Kept("unchanged", own[0].id, _remove(comments, own[1:]))
    if not is_wanted(mode, state, before, exists=bool(own)):
        return Kept("not wanted", own[0].id if own else None, _remove(comments, own[1:]))
    kept = _write(comments, own[0].id if own else None, compose(before))
    return Kept(kept.action, kept.id, _remove(comments, own[1:]))


def is_wanted(mode: Mode, state: State, before: State | None, *, exists: bool) -> bool:
    """Whether the comment is to be written.

    ``changes``: the first time, and when `history.is_news`. ``failures``: when not everything passed, and to
    say that it does now.
    """
    match mode:
        case "always":
            return True
        case "changes":
            return before is None or is_news(state, before)
        case "failures":
            return exists or state.status != "passed"
        case "off":
            return False


def why_not(error: ApiError, pull_request: PullRequest) -> str:
    """What a comment that could not be written means and how to get it, for the log."""
    also = "the report is in the step summary and the artifacts"
    if error.status == _FORBIDDEN and pull_request.read_only:
        return (
            f"no comment: the token of a pull request from a fork or from Dependabot can only read; {also}. "
            "A workflow on `workflow_run` can post it, see the README"
        )
    if error.status == _FORBIDDEN:
        return f"no comment ({error}): give the job `permissions: pull-requests: write`; {also}"
    if error.status == _NOT_FOUND:
        return f"no comment ({error}): the token sees no pull request {pull_request.number}; {also}"
    if error.status == _UNPROCESSABLE:
        return f"no comment: GitHub refuses its text ({error}); {also}"
    return f"no comment ({error}); {also}"


def _write(comments: PullRequestComments, known: int | None, body: str) -> Kept:
    if known is not None:
        try:
            comments.update(known, body)
            return Kept("updated", known)
        except ApiError as error:
            if error.status != _NOT_FOUND:  # somebody removed it since it was listed
                raise
    return Kept("created", comments.create(body))


def _remove(comments: PullRequestComments, duplicates: list[Comment]) -> list[str]:
    """Two runs at once may both have posted one."""
    failed = []
    for each in duplicates:
        try:
            comments.delete(each.id)
        except ApiError as error:
            if error.status != _NOT_FOUND:
                failed.append(f"an older copy of the comment could not be removed ({error})")
    return failed
