"""The comment against GitHub's own description of its interface, which prism holds both sides to.

``@stoplight/prism-cli`` stands as a proxy between the client and the fake, with the few paths that are used
out of ``@octokit/openapi``. PARITY_PRISM_DIR names a folder where ``npm install @stoplight/prism-cli
@octokit/openapi`` was run (475 MB).
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from support import reports as made
from support.github_api import FORBIDDEN, NUMBER, REPOSITORY, TOKEN, Failure, FakeGitHub, serving

from parity.github import history
from parity.github.api import ApiError, PullRequestComments
from parity.github.comment import comment_key, marker, render
from parity.github.context import Context
from parity.github.sticky import Kept, keep
from parity.records.results import Report

PRISM_DIR = os.environ.get("PARITY_PRISM_DIR", "")
NODE = shutil.which("node")
CLI = Path(PRISM_DIR, "node_modules/@stoplight/prism-cli/dist/index.js")
DESCRIPTION = Path(PRISM_DIR, "node_modules/@octokit/openapi/generated/api.github.com.json")
ACTION_SCRIPTS = Path(__file__).resolve().parents[2] / "scripts" / "action"
LIMIT_S = 60.0

pytestmark = pytest.mark.skipif(
    not (PRISM_DIR and NODE and CLI.is_file() and DESCRIPTION.is_file()),
    reason="GitHub's contract was NOT checked: it takes node, and in PARITY_PRISM_DIR the packages "
    "@stoplight/prism-cli and @octokit/openapi",
)

USED = {
    "/repos/{owner}/{repo}/issues/{issue_number}/comments": ("get", "post"),
    "/repos/{owner}/{repo}/issues/comments/{comment_id}": ("patch", "delete"),
}
# GraphQL is no part of the description; the client only asks it for its own name.
GRAPHQL: dict[str, Any] = {
    "post": {
        "operationId": "graphql",
        "responses": {code: {"description": "as GraphQL has it"} for code in ("200", "403")},
    }
}
# The description leaves out what any request may be answered: a token that can't, too many requests, and a
# server that is down. Without these prism calls every such answer a violation.
ANY_TIME = {"403": "a token that can't", "404": "not seen", "429": "too many requests", "500": "down"}


def sliced() -> dict[str, Any]:
    """The description of `USED`, with all that it refers to."""
    whole = json.loads(DESCRIPTION.read_bytes())
    paths: dict[str, Any] = {"/graphql": GRAPHQL}
    for path, methods in USED.items():
        described = whole["paths"][path]
        kept = {name: described[name] for name in ("parameters", *methods) if name in described}
        for method in methods:
            responses = kept[method]["responses"]
            for code, why in ANY_TIME.items():
                responses.setdefault(code, {"description": why})
        paths[path] = kept
    components: dict[str, dict[str, Any]] = {}
    pending = references(paths)
    while pending:
        _, _, kind, name = pending.pop().split("/")
        if name not in components.setdefault(kind, {}):
            components[kind][name] = whole["components"][kind][name]
            pending |= references(components[kind][name])
    return {"openapi": whole["openapi"], "info": whole["info"], "paths": paths, "components": components}


def references(value: object) -> set[str]:
    match value:
        case {"$ref": str(reference)}:
            return {reference}
        case dict():
            return {found for entry in value.values() for found in references(entry)}
        case list():
            return {found for entry in value for found in references(entry)}
        case _:
            return set()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def proxy(upstream: str, folder: Path) -> Iterator[str]:
    """Prism in front of `upstream`, answering with an error to whatever breaks the contract."""
    description, port = folder / "github.json", free_port()
    description.write_text(json.dumps(sliced()))
    log = folder / "prism.log"
    command = [str(NODE), str(CLI), "proxy", str(description), upstream, "--errors"]
    with log.open("wb") as file:
        process = subprocess.Popen(
            [*command, "--port", str(port), "--host", "127.0.0.1"], stdout=file, stderr=subprocess.STDOUT
        )
    try:
        ends = time.monotonic() + LIMIT_S
        while "Prism is listening" not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < ends, log.read_text()
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeGitHub]:
    """A GitHub behind the proxy; one for all tests, for prism takes seconds to start."""
    with (
        pytest.MonkeyPatch.context() as patch,
        serving() as github,
        proxy(github.url, tmp_path_factory.mktemp("prism")) as url,
    ):
        patch.setenv("NO_PROXY", "127.0.0.1")
        github.public_url = url
        yield github


class Recorded:
    """What prism found on either side, in the header that it adds to an answer."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.violations: list[str] = []
        self.answers = 0
        send = requests.Session.send

        def recording(session: requests.Session, request: Any, **options: Any) -> requests.Response:
            answer = send(session, request, **options)
            self.answers += 1
            if found := answer.headers.get("sl-violations"):
                self.violations.append(f"{request.method} {request.url}: {found}")
            return answer

        patch.setattr(requests.Session, "send", recording)


@pytest.fixture
def github(proxied: FakeGitHub) -> FakeGitHub:
    proxied.comments.clear()
    proxied.requests.clear()
    proxied.failures.clear()
    return proxied


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorded]:
    recorded = Recorded(monkeypatch)
    yield recorded
    assert recorded.answers
    assert recorded.violations == []


KEY = comment_key("contract", "verify")


def post(github: FakeGitHub, report: Report, key: str = KEY, number: int = NUMBER) -> Kept:
    comments = PullRequestComments(github.public_url, TOKEN, REPOSITORY, number, backoff_s=0.01)
    context, state = Context(commit="a" * 40), history.state_of(report, "a" * 40)
    return keep(comments, key, state, lambda before: render(report, key, context, state, before))


def test_posted_updated_and_left_alone(github: FakeGitHub, seen: Recorded) -> None:
    actions = [post(github, report).action for report in (made.green(), made.red(), made.red())]
    assert actions == ["created", "updated", "unchanged"]
    assert seen.answers == 3 * 2 + 2


def test_250_comments_and_duplicates(github: FakeGitHub, seen: Recorded) -> None:
    for i in range(248):
        github.add(f"remark {i}", author="somebody")
    lowest, duplicate = (github.add(f"{marker(KEY)}\n{i}") for i in range(2))
    kept = post(github, made.red())
    assert (kept.action, kept.id) == ("updated", lowest)
    assert duplicate not in github.comments
    assert sum(entry.startswith("GET") for entry in github.requests) == 3


@pytest.mark.parametrize("kind", ["hostile", "errors", "explained"])
def test_any_report(kind: str, github: FakeGitHub, seen: Recorded) -> None:
    assert post(github, made.all_kinds()[kind]).action == "created"


def test_a_comment_that_is_cut(github: FakeGitHub, seen: Recorded) -> None:
    outputs = tuple(made.output(f"output {i}", 0.5) for i in range(1_000))
    assert post(github, made.report((made.case("model", outputs),), 1)).action == "created"


@pytest.mark.parametrize(
    "failure",
    [
        Failure("POST", *FORBIDDEN),
        Failure("GET", 404, {"message": "Not Found", "documentation_url": "https://docs.github.com"}),
        Failure(
            "POST",
            422,
            {
                "message": "Validation Failed",
                "documentation_url": "https://docs.github.com",
                "errors": [{"resource": "IssueComment", "field": "body", "code": "unprocessable"}],
            },
        ),
    ],
)
def test_what_github_refuses(failure: Failure, github: FakeGitHub, seen: Recorded) -> None:
    github.failures.append(failure)
    with pytest.raises(ApiError) as caught:
        post(github, made.red())
    assert caught.value.status == failure.status


def test_limits_and_failures_that_pass(github: FakeGitHub, seen: Recorded) -> None:
    github.failures += [
        Failure("GET", 500, {"message": "Server Error"}),
        Failure("POST", 429, {"message": "slow down"}, {"Retry-After": "0"}),
    ]
    assert post(github, made.red()).action == "created"


def test_two_jobs_of_a_matrix_at_once(github: FakeGitHub, seen: Recorded) -> None:
    keys = [comment_key("", "verify", json.dumps({"model": model})) for model in ("a", "b")]
    with ThreadPoolExecutor(2) as pool:
        kept = list(pool.map(lambda key: post(github, made.red(), key), keys))
    assert [entry.action for entry in kept] == ["created", "created"]
    assert sorted(body.split("\n", 1)[0] for body in github.bodies()) == sorted(map(marker, keys))


def test_a_comment_that_went_stale(github: FakeGitHub, tmp_path: Path) -> None:
    """By the script of the action, without a library: what breaks the contract gets an error."""
    post(github, made.green(), comment_key("", "verify", ""))
    (tmp_path / "event.json").write_text(json.dumps({"pull_request": {"number": NUMBER}}))
    environ = {
        "PATH": os.environ["PATH"],
        "NO_PROXY": "127.0.0.1",
        "GITHUB_API_URL": github.public_url,
        "GITHUB_EVENT_PATH": str(tmp_path / "event.json"),
        "GITHUB_JOB": "verify",
        "GITHUB_REPOSITORY": REPOSITORY,
        "GITHUB_TOKEN": TOKEN,
        "GITHUB_WORKSPACE": str(tmp_path),
        "RUNNER_TEMP": str(tmp_path),
        "INPUT_COMMENT": "always",
        "PREFLIGHT_PROBLEM": "there is no docker",
    }
    command = [sys.executable, "-I", str(ACTION_SCRIPTS), "report"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert "says now that nothing was judged" in done.stdout, done.stdout + done.stderr
    (body,) = github.bodies()
    assert "there is no docker" in body


def test_the_proxy_sees_what_breaks_the_contract(github: FakeGitHub) -> None:
    """Without this, the other tests here would pass behind a proxy that looks at nothing."""
    url = f"{github.public_url}/repos/{REPOSITORY}/issues/{NUMBER}/comments"
    headers = {"Authorization": f"token {TOKEN}"}
    wrong = requests.post(url, json={"text": "no body"}, headers=headers, timeout=LIMIT_S)
    assert wrong.status_code == 422
    assert not github.requests
    number = github.add("text")
    del github.comments[number]["user"]
    assert requests.get(url, headers=headers, timeout=LIMIT_S).status_code == 500
