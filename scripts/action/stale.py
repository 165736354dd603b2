"""The comment of an earlier run, when this one could not even start: it must not go on saying what it said.

`parity publish` writes the comments, but it is in the image, and preflight may have ended for want of that.
So this needs nothing but the standard library. Where there is a comment, it lets it say that nothing could be
judged, and why.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path
from typing import Any

from messages import visible
from settings import Runner

_BOT = "github-actions[bot]"  # who writes with a job's own token
_PAGE, _MOST_PAGES = 100, 50
_TIMEOUT_S = 20.0
_WAITS_S = (2.0, 10.0)  # before another try
_KEY_LENGTH = 60
_EVENT_LIMIT = 32 * 2**20
# What comes of an answer that is none, or not as GitHub gives it.
_UNEXPECTED = (OSError, ValueError, KeyError, TypeError, AttributeError, HTTPException, RecursionError)


def update(runner: Runner, problem: str) -> str:
    """Lets the comment of this job say that nothing was judged; gives what was done, or why it was not.

    A pull request without a comment gets none: the check is red, and its annotations say why.
    """
    number = _pull_request(runner)
    repository, token = runner.environ.get("GITHUB_REPOSITORY", ""), runner.environ.get("GITHUB_TOKEN", "")
    url = runner.environ.get("GITHUB_API_URL", "").rstrip("/") or "https://api.github.com"
    asked_for = runner.environ.get("INPUT_COMMENT", "off") != "off"
    if not asked_for or number is None or not token or not re.fullmatch(r"[\w.-]+/[\w.-]+", repository):
        return ""
    job, name = runner.environ.get("GITHUB_JOB", ""), runner.environ.get("INPUT_COMMENT_KEY", "").strip()
    marker = f"<!-- onnx-parity:{comment_key(name, job, runner.matrix)} -->"
    try:
        api = _Api(url, token)
        author = api.author()
        found = [
            int(comment["id"])
            for comment in api.comments(repository, number)
            if str(comment.get("body") or "").split("\n", 1)[0].rstrip() == marker
            and (comment.get("user") or {}).get("login") == author
        ]
        if not found:
            return "no comment of an earlier run"
        body = f"{marker}\n{told(problem)}{_origin(runner)}"
        api.ask("PATCH", f"/repos/{repository}/issues/comments/{min(found)}", {"body": body})
    except _UNEXPECTED as error:
        return f"the comment of an earlier run could not be updated: {error}"
    return "the comment of an earlier run says now that nothing was judged"


def told(problem: str) -> str:
    """In Markdown. Without the figures of the run before, so that the next run writes its comment anew."""
    return f"## ⛔ parity: nothing could be judged\n\nThe gate did not start:\n\n{fenced(problem)}\n"


def comment_key(name: str, job: str, matrix: str) -> str:
    """As `parity.github.comment.comment_key` makes it; a test holds the two together."""
    try:
        values = json.loads(matrix) if matrix.strip() else None
    except (ValueError, RecursionError):
        values = matrix
    parts = [name, job, *(str(value) for value in _leaves(values))]
    readable = re.sub(r"[^A-Za-z0-9._]+", "-", "-".join(filter(None, parts))).strip("-")[:_KEY_LENGTH]
    exact = hashlib.sha256(json.dumps([name, job, values], sort_keys=True).encode()).hexdigest()[:8]
    return f"{readable.rstrip('-')}-{exact}" if readable else exact


def _leaves(value: Any) -> list[Any]:
    if value is None:
        return []
    if isinstance(value, dict):
        return [leaf for key in sorted(value) for leaf in _leaves(value[key])]
    return [leaf for entry in value for leaf in _leaves(entry)] if isinstance(value, list) else [value]


def _origin(runner: Runner) -> str:
    env = runner.environ
    commit = str(_event(runner).get("pull_request", {}).get("head", {}).get("sha", ""))
    about = [f"commit <code>{commit[:7]}</code>"] if re.fullmatch(r"[0-9a-f]{7,64}", commit) else []
    run, server = env.get("GITHUB_RUN_ID", ""), env.get("GITHUB_SERVER_URL", "")
    if run.isdigit() and server.startswith("https://"):
        about.append(f"[run]({server}/{env.get('GITHUB_REPOSITORY')}/actions/runs/{run})")
    return f"\n<sub>{' · '.join(about)}</sub>\n" if about else ""


def fenced(text: str) -> str:
    """Text as a block of Markdown that it can't end."""
    shown = visible(text)
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", shown)), default=0))
    return f"{fence}text\n{shown}\n{fence}"


def _pull_request(runner: Runner) -> int | None:
    number = _event(runner).get("pull_request", {}).get("number")
    return number if isinstance(number, int) else None


def _event(runner: Runner) -> dict[str, Any]:
    try:
        with Path(runner.environ["GITHUB_EVENT_PATH"]).open("rb") as file:
            event = json.loads(file.read(_EVENT_LIMIT))
    except (KeyError, OSError, ValueError):
        return {}
    return event if isinstance(event, dict) and isinstance(event.get("pull_request"), dict) else {}


class _Api:
    """GitHub's interface. Every method raises OSError or ValueError where it does not answer as it should."""

    def __init__(self, url: str, token: str) -> None:
        if not url.startswith(("https://", "http://")):
            raise ValueError(f"GITHUB_API_URL is {url!r}")
        self._url, self._token = url, token

    def author(self) -> str:
        """Login of who writes with this token; only GraphQL tells it to every kind of token."""
        base = self._url[: -len("/v3")] if self._url.endswith("/api/v3") else self._url
        try:
            answer = self.ask("POST", "/graphql", {"query": "query { viewer { login } }"}, base)
            return str(answer["data"]["viewer"]["login"])
        except _UNEXPECTED:
            return _BOT

    def comments(self, repository: str, number: int) -> Iterator[dict[str, Any]]:
        """Every comment of a pull request, the oldest first."""
        for page in range(1, _MOST_PAGES + 1):
            found = self.ask(
                "GET", f"/repos/{repository}/issues/{number}/comments?per_page={_PAGE}&page={page}"
            )
            yield from found
            if len(found) < _PAGE:
                return

    def ask(self, method: str, path: str, content: Any = None, base: str = "") -> Any:
        """The answer to a request; a server that is down is asked again, twice."""
        request = urllib.request.Request(  # noqa: S310 - checked above
            f"{base or self._url}{path}",
            method=method,
            data=None if content is None else json.dumps(content).encode(),
            headers={"Accept": "application/vnd.github+json", "User-Agent": "onnx-parity-action"},
        )
        if content is not None:
            request.add_header("Content-Type", "application/json")
        # Not to wherever an answer may lead.
        request.add_unredirected_header("Authorization", f"token {self._token}")
        for wait in (*_WAITS_S, None):
            try:
                with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310
                    return json.load(answer)
            except urllib.error.HTTPError as error:
                if wait is None or error.code not in (429, *range(500, 600)):
                    raise
                time.sleep(wait)
        raise AssertionError
