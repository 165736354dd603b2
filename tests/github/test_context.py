from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from parity.errors import SpecError
from parity.github.context import PUBLIC_API, Context, PullRequest, read_context

SHA, MERGE = "a" * 40, "b" * 40
ENVIRON = {
    "GITHUB_API_URL": "https://github.example.com/api/v3/",
    "GITHUB_SERVER_URL": "https://github.example.com",
    "GITHUB_REPOSITORY": "org/models",
    "GITHUB_RUN_ID": "5",
    "GITHUB_SHA": MERGE,
    "GITHUB_JOB": "verify",
    "GITHUB_ACTOR": "octocat",
    "GITHUB_WORKSPACE": "/work",
    "GITHUB_STEP_SUMMARY": "/tmp/summary",
    "GITHUB_OUTPUT": "/tmp/output",
    "GITHUB_TOKEN": "ghs_secret",
}


def environ(tmp_path: Path, event: Any, **changes: str) -> dict[str, str]:
    path = tmp_path / "event.json"
    path.write_text(event if isinstance(event, str) else json.dumps(event))
    return {**ENVIRON, "GITHUB_EVENT_PATH": str(path), **changes}


def pull_request(repository: str | None = "org/models") -> dict[str, Any]:
    head = {"sha": SHA, "repo": repository and {"full_name": repository, "private": False}}
    return {"action": "synchronize", "pull_request": {"number": 7, "head": head, "title": "::error::"}}


def test_a_pull_request(tmp_path: Path) -> None:
    assert read_context(environ(tmp_path, pull_request())) == Context(
        api_url="https://github.example.com/api/v3",
        repository="org/models",
        run_url="https://github.example.com/org/models/actions/runs/5",
        commit=SHA,
        job="verify",
        workspace=Path("/work"),
        step_summary=Path("/tmp/summary"),
        outputs=Path("/tmp/output"),
        pull_request=PullRequest(7),
        token="ghs_secret",
    )


@pytest.mark.parametrize(
    ("repository", "actor", "read_only"),
    [
        ("org/models", "octocat", False),
        ("somebody/models", "octocat", True),
        (None, "octocat", True),
        ("org/models", "dependabot[bot]", True),
    ],
)
def test_forks_and_dependabot_can_only_read(
    repository: str | None, actor: str, read_only: bool, tmp_path: Path
) -> None:
    context = read_context(environ(tmp_path, pull_request(repository), GITHUB_ACTOR=actor))
    assert context.pull_request == PullRequest(7, read_only=read_only)


def test_a_push_has_no_pull_request(tmp_path: Path) -> None:
    context = read_context(environ(tmp_path, {"ref": "refs/heads/main"}))
    assert context.pull_request is None
    assert context.commit == MERGE


def test_after_another_workflow_the_number_is_given(tmp_path: Path) -> None:
    event = {"workflow_run": {"head_sha": SHA, "pull_requests": []}}
    context = read_context(environ(tmp_path, event), 12)
    assert context.pull_request == PullRequest(12)
    assert context.commit == SHA


def test_outside_github_nothing_is_known() -> None:
    assert read_context({}) == Context()
    assert Context().api_url == PUBLIC_API


def test_the_token_is_in_no_message() -> None:
    assert "ghs_secret" not in repr(read_context(ENVIRON))


@pytest.mark.parametrize("event", ["", "{", "[]", '{"pull_request": {"number": "seven"}}', "[" * 100_000])
def test_a_payload_that_is_none(event: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="payload"):
        read_context(environ(tmp_path, event))


def test_a_payload_that_is_not_there() -> None:
    assert read_context({**ENVIRON, "GITHUB_EVENT_PATH": "/nowhere/event.json"}).pull_request is None


@pytest.mark.parametrize(
    "changes",
    [
        {"GITHUB_REPOSITORY": "../../etc"},
        {"GITHUB_SERVER_URL": "javascript:alert(1)"},
        {"GITHUB_RUN_ID": "5)[x](y"},
        {"GITHUB_SERVER_URL": ""},
    ],
)
def test_no_link_is_made_of_what_is_none(changes: dict[str, str]) -> None:
    assert read_context({**ENVIRON, **changes}).run_url == ""


def test_a_commit_is_one(tmp_path: Path) -> None:
    event = {"pull_request": {"number": 7, "head": {"sha": "<script>"}}}
    assert read_context(environ(tmp_path, event)).commit == ""
