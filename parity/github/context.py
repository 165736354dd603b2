"""Where this runs, from the environment that GitHub gives each step of a job."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from parity.errors import SpecError

PUBLIC_API = "https://api.github.com"
_EVENT_LIMIT = 32 * 2**20  # bytes; GitHub sends no payload of more than 25 MB
_REPOSITORY = re.compile(r"[A-Za-z0-9._-]+/[A-Za-z0-9._-]+")
_SHA = re.compile(r"[0-9a-f]{7,64}")
_BOTS_WITHOUT_WRITE_ACCESS = ("dependabot[bot]",)


@dataclass(frozen=True)
class PullRequest:
    """The pull request that the comment goes to.

    Attributes:
        read_only: the token can't write to it whatever the workflow asks for: a fork's, or Dependabot's.
    """

    number: int
    read_only: bool = False


@dataclass(frozen=True)
class Context:
    """The run of a job; all that is not known is empty or None.

    Attributes:
        api_url: of GitHub, or of a GitHub Enterprise server.
        repository: ``owner/name``.
        run_url: page of the workflow run.
        commit: the pull request's own commit, not the merge commit that was checked out.
        job: id of the job in the workflow file.
        workspace: where the repository is checked out.
        step_summary: file whose Markdown is shown on the run's page.
        outputs: file that takes the step's outputs.
        token: never part of a message.
    """

    api_url: str = PUBLIC_API
    repository: str = ""
    run_url: str = ""
    commit: str = ""
    job: str = ""
    workspace: Path | None = None
    step_summary: Path | None = None
    outputs: Path | None = None
    pull_request: PullRequest | None = None
    token: str = field(default="", repr=False)


class _Repository(msgspec.Struct, frozen=True):
    full_name: str = ""


class _Head(msgspec.Struct, frozen=True):
    sha: str = ""
    repo: _Repository | None = None  # null when the fork is deleted


class _PullRequestPayload(msgspec.Struct, frozen=True):
    number: int
    head: _Head = _Head()


class _WorkflowRun(msgspec.Struct, frozen=True):
    head_sha: str = ""


class _Event(msgspec.Struct, frozen=True):
    pull_request: _PullRequestPayload | None = None
    workflow_run: _WorkflowRun | None = None


def read_context(environ: Mapping[str, str], pull_request: int | None = None) -> Context:
    """The context of this step.

    Args:
        environ: the process's environment.
        pull_request: its number where the event has none, as in a `workflow_run`.

    Raises:
        SpecError: the payload of the event can't be read.
    """
    repository = environ.get("GITHUB_REPOSITORY", "")
    repository = repository if _REPOSITORY.fullmatch(repository) else ""
    event = _read_event(environ.get("GITHUB_EVENT_PATH", ""))
    return Context(
        api_url=environ.get("GITHUB_API_URL", "").rstrip("/") or PUBLIC_API,
        repository=repository,
        run_url=_run_url(environ, repository),
        commit=_commit(event, environ),
        job=environ.get("GITHUB_JOB", ""),
        workspace=_path(environ, "GITHUB_WORKSPACE"),
        step_summary=_path(environ, "GITHUB_STEP_SUMMARY"),
        outputs=_path(environ, "GITHUB_OUTPUT"),
        pull_request=_pull_request(
            event.pull_request, pull_request, repository, environ.get("GITHUB_ACTOR", "")
        ),
        token=environ.get("GITHUB_TOKEN", ""),
    )


def _commit(event: _Event, environ: Mapping[str, str]) -> str:
    """On a pull request GITHUB_SHA is the merge commit, in a `workflow_run` the default branch's."""
    if event.pull_request is not None:
        commit = event.pull_request.head.sha
    elif event.workflow_run is not None:
        commit = event.workflow_run.head_sha
    else:
        commit = environ.get("GITHUB_SHA", "")
    return commit if _SHA.fullmatch(commit) else ""


def _pull_request(
    payload: _PullRequestPayload | None, number: int | None, repository: str, actor: str
) -> PullRequest | None:
    if number is not None:
        return PullRequest(number)
    if payload is None:
        return None
    own = payload.head.repo is not None and payload.head.repo.full_name == repository
    return PullRequest(payload.number, read_only=not own or actor in _BOTS_WITHOUT_WRITE_ACCESS)


def _read_event(path: str) -> _Event:
    if not path:
        return _Event()
    try:
        with Path(path).open("rb") as file:
            return msgspec.json.decode(file.read(_EVENT_LIMIT), type=_Event)
    except FileNotFoundError:  # some runners name a file and write none
        return _Event()
    except (OSError, msgspec.MsgspecError, ValueError) as error:
        raise SpecError(
            f"the event's payload can't be read: {error}",
            at="GITHUB_EVENT_PATH",
            fix="leave GITHUB_EVENT_PATH as the runner sets it",
        ) from error


def _run_url(environ: Mapping[str, str], repository: str) -> str:
    server, run = environ.get("GITHUB_SERVER_URL", ""), environ.get("GITHUB_RUN_ID", "")
    if not (repository and run.isdigit() and re.fullmatch(r"https?://[A-Za-z0-9.:-]+", server)):
        return ""
    return f"{server}/{repository}/actions/runs/{run}"


def _path(environ: Mapping[str, str], name: str) -> Path | None:
    return Path(environ[name]) if environ.get(name) else None
