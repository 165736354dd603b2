"""A small stateful GitHub: the comments of one pull request over HTTP, with failures on request."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

REPOSITORY = "org/models"
NUMBER = 7
TOKEN = "ghs_secret"
BOT = "github-actions[bot]"
BODY_LIMIT = 65_536  # characters
NOT_FOUND = (
    404,
    {"message": "Not Found", "documentation_url": "https://docs.github.com/rest", "status": "404"},
)
FORBIDDEN = (
    403,
    {
        "message": "Resource not accessible by integration",
        "documentation_url": "https://docs.github.com/rest",
        "status": "403",
    },
)


@dataclass(frozen=True)
class Failure:
    """What the next request of this method gets instead of its answer; `path` is a part of its path."""

    method: str
    status: int
    payload: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    path: str = "/comments"


@dataclass
class FakeGitHub:
    """State of the server: comments by id, the requests it got, the failures it will still give."""

    url: str = ""
    public_url: str = ""  # where clients reach it, if not at `url`: links to pages lead there
    viewer: str | None = BOT
    comments: dict[int, dict[str, Any]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    next_id: int = 1001

    def add(self, body: str, author: str = BOT) -> int:
        """A comment as somebody has posted it; gives its id."""
        number, self.next_id = self.next_id, self.next_id + 1
        self.comments[number] = _comment(number, body, author, self.public_url or self.url)
        return number

    def bodies(self, author: str = BOT) -> list[str]:
        """Texts of an author's comments, the oldest first."""
        return [entry["body"] for entry in self.comments.values() if entry["user"]["login"] == author]

    def writes(self) -> list[str]:
        """The requests that would change something: ``POST /repos/.../comments``."""
        return [entry for entry in self.requests if not entry.startswith("GET") and "/graphql" not in entry]


@contextmanager
def serving(port: int = 0) -> Iterator[FakeGitHub]:
    """A server on this machine for as long as the block runs."""
    github = FakeGitHub()

    class Handler(_Handler):
        state = github

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    github.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield github
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    state: FakeGitHub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def do_PATCH(self) -> None:
        self._answer("PATCH")

    def do_DELETE(self) -> None:
        self._answer("DELETE")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Requests are in `FakeGitHub.requests`."""

    def _answer(self, method: str) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with self.state.lock:
            self.state.requests.append(f"{method} {self.path}")
            status, payload, headers = self._decide(method, raw)
        data = b"" if payload is None else json.dumps(payload).encode()
        self.send_response(status)
        if data:
            self.send_header("Content-Type", "application/json; charset=utf-8")
        if status != 204:
            self.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def _decide(self, method: str, raw: bytes) -> tuple[int, Any, dict[str, str]]:
        path = urlsplit(self.path).path
        for failure in self.state.failures:
            if failure.method == method and failure.path in path:
                self.state.failures.remove(failure)
                return failure.status, failure.payload, failure.headers
        if self.headers.get("Authorization") not in (f"token {TOKEN}", f"Bearer {TOKEN}"):
            return 401, {"message": "Bad credentials"}, {}
        if path == "/graphql":
            return self._viewer(json.loads(raw))
        if path == f"/repos/{REPOSITORY}/issues/{NUMBER}/comments":
            return self._list() if method == "GET" else self._create(json.loads(raw))
        found = re.fullmatch(rf"/repos/{REPOSITORY}/issues/comments/(\d+)", path)
        if found and int(found[1]) in self.state.comments:
            return self._one(method, int(found[1]), raw)
        return *NOT_FOUND, {}

    def _viewer(self, asked: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
        assert "viewer" in asked["query"]
        if self.state.viewer is None:
            return *FORBIDDEN, {}
        return 200, {"data": {"viewer": {"login": self.state.viewer}}}, {}

    def _list(self) -> tuple[int, Any, dict[str, str]]:
        query = parse_qs(urlsplit(self.path).query)
        size, page = int(query.get("per_page", ["30"])[0]), int(query.get("page", ["1"])[0])
        assert 1 <= size <= 100
        every = list(self.state.comments.values())
        last = max(1, -(-len(every) // size))
        base = f"{self.state.public_url or self.state.url}{urlsplit(self.path).path}?per_page={size}"
        links = [f'<{base}&page={page + 1}>; rel="next"', f'<{base}&page={last}>; rel="last"']
        headers = {"Link": ", ".join(links)} if page < last else {}
        return 200, every[(page - 1) * size : page * size], headers

    def _create(self, asked: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
        if refused := _refused(asked):
            return refused
        number = self.state.add(asked["body"], self.state.viewer or BOT)
        made = self.state.comments[number]
        return 201, made, {"Location": made["url"]}

    def _one(self, method: str, number: int, raw: bytes) -> tuple[int, Any, dict[str, str]]:
        if method == "DELETE":
            del self.state.comments[number]
            return 204, None, {}
        if method == "PATCH":
            asked = json.loads(raw)
            if refused := _refused(asked):
                return refused
            self.state.comments[number]["body"] = asked["body"]
        return 200, self.state.comments[number], {}


def _refused(asked: dict[str, Any]) -> tuple[int, Any, dict[str, str]] | None:
    if len(asked["body"]) <= BODY_LIMIT:
        return None
    why = {"resource": "IssueComment", "field": "body", "code": "unprocessable"}
    why["message"] = f"body is too long (maximum is {BODY_LIMIT} characters)"
    return (
        422,
        {"message": "Validation Failed", "errors": [why], "documentation_url": "https://docs.github.com"},
        {},
    )


def _comment(number: int, body: str, author: str, base: str) -> dict[str, Any]:
    repository = f"{base}/repos/{REPOSITORY}"
    page = f"https://github.com/{REPOSITORY}/pull/{NUMBER}"
    return {
        "id": number,
        "node_id": f"IC_{number}",
        "url": f"{repository}/issues/comments/{number}",
        "html_url": f"{page}#issuecomment-{number}",
        "issue_url": f"{repository}/issues/{NUMBER}",
        "user": _user(author, base),
        "created_at": "2026-11-22T20:00:00Z",
        "updated_at": "2026-11-22T20:00:00Z",
        "author_association": "NONE",
        "body": body,
        "performed_via_github_app": None,
    }


def _user(login: str, base: str) -> dict[str, Any]:
    url = f"{base}/users/{login.replace('[', '%5B').replace(']', '%5D')}"
    named = {
        name: f"{url}/{name.removesuffix('_url')}"
        for name in (
            "followers_url",
            "following_url",
            "gists_url",
            "starred_url",
            "subscriptions_url",
            "organizations_url",
            "repos_url",
            "events_url",
            "received_events_url",
        )
    }
    return {
        "login": login,
        "id": 41898282,
        "node_id": "MDM6Qm90NDE4OTgyODI=",
        "avatar_url": "https://avatars.githubusercontent.com/in/15368",
        "gravatar_id": "",
        "url": url,
        "html_url": "https://github.com/apps/github-actions",
        "type": "Bot" if login.endswith("[bot]") else "User",
        "site_admin": False,
        **named,
    }
