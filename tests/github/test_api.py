from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from support.github_api import BOT, FORBIDDEN, NUMBER, REPOSITORY, TOKEN, Failure, FakeGitHub, serving

from parity.github.api import ApiError, Comment, PullRequestComments


@pytest.fixture
def github(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGitHub]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving() as server:
        yield server


def client(github: FakeGitHub, number: int = NUMBER) -> PullRequestComments:
    return PullRequestComments(github.url, TOKEN, REPOSITORY, number, backoff_s=0.01)


def test_a_comment_is_posted_changed_and_removed(github: FakeGitHub) -> None:
    comments = client(github)
    number = comments.create("one")
    assert comments.all() == [Comment(number, BOT, "one")]
    comments.update(number, "two")
    assert github.bodies() == ["two"]
    comments.delete(number)
    assert comments.all() == []


def test_250_comments_are_three_pages(github: FakeGitHub) -> None:
    made = [github.add(str(i), author="somebody") for i in range(250)]
    found = client(github).all()
    assert [each.id for each in found] == made
    pages = [entry for entry in github.requests if entry.startswith("GET")]
    assert len(pages) == 3
    assert all("per_page=100" in entry for entry in pages)


def test_a_deleted_account_has_no_name(github: FakeGitHub) -> None:
    number = github.add("text")
    github.comments[number]["user"] = None
    assert client(github).all() == [Comment(number, "", "text")]


@pytest.mark.parametrize(("viewer", "author"), [("parity-app[bot]", "parity-app[bot]"), (None, BOT)])
def test_the_author_is_asked_for(github: FakeGitHub, viewer: str | None, author: str) -> None:
    github.viewer = viewer
    assert client(github).author() == author


@pytest.mark.parametrize("status", [500, 502, 503])
@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE"])
def test_a_passing_failure_of_the_server_is_tried_again(github: FakeGitHub, method: str, status: int) -> None:
    number = github.add("old")
    github.failures += [Failure(method, status)] * 2
    comments = client(github)
    actions = {
        "GET": comments.all,
        "POST": lambda: comments.create("new"),
        "PATCH": lambda: comments.update(number, "new"),
        "DELETE": lambda: comments.delete(number),
    }
    actions[method]()
    assert [entry.split()[0] for entry in github.requests] == [method] * 3


def test_a_lasting_failure_of_the_server_ends(github: FakeGitHub) -> None:
    github.failures += [Failure("GET", 500, {"message": "oh no"})] * 50
    with pytest.raises(ApiError, match="500: oh no") as caught:
        client(github).all()
    assert caught.value.status == 500
    assert 2 < len(github.requests) < 10


@pytest.mark.parametrize("status", [429, 403])
def test_retry_after_is_honoured(github: FakeGitHub, status: int) -> None:
    github.failures.append(Failure("POST", status, {"message": "slow down"}, {"Retry-After": "1"}))
    started = time.monotonic()
    client(github).create("text")
    assert time.monotonic() - started >= 1
    assert github.bodies() == ["text"]


def test_a_rate_limit_for_an_hour_is_not_waited_for(github: FakeGitHub) -> None:
    headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(time.time()) + 3600)}
    github.failures.append(Failure("GET", 403, {"message": "API rate limit exceeded for 1.2.3.4."}, headers))
    with pytest.raises(ApiError, match="rate limit") as caught:
        client(github).all()
    assert caught.value.status == 403
    assert len(github.requests) == 1


def test_a_read_only_token_is_not_tried_again(github: FakeGitHub) -> None:
    github.failures.append(Failure("POST", *FORBIDDEN))
    with pytest.raises(ApiError, match="not accessible") as caught:
        client(github).create("text")
    assert caught.value.status == 403
    assert len(github.requests) == 1


def test_no_such_pull_request(github: FakeGitHub) -> None:
    with pytest.raises(ApiError, match="Not Found") as caught:
        client(github, number=8).all()
    assert caught.value.status == 404


def test_a_text_that_is_too_long(github: FakeGitHub) -> None:
    with pytest.raises(ApiError, match="Validation Failed") as caught:
        client(github).create("x" * 65_537)
    assert caught.value.status == 422


def test_a_server_that_is_not_there() -> None:
    with pytest.raises(ApiError, match="no answer") as caught:
        PullRequestComments("http://127.0.0.1:9", TOKEN, REPOSITORY, NUMBER, backoff_s=0.0).all()
    assert caught.value.status is None


@pytest.mark.parametrize("url", ["ftp://example.com", "nonsense"])
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(ApiError):
        PullRequestComments(url, TOKEN, REPOSITORY, NUMBER)


def test_an_answer_of_another_shape(github: FakeGitHub) -> None:
    number = github.add("text")
    github.comments[number]["id"] = "seven"
    with pytest.raises(ApiError, match="GitHub does not give"):
        client(github).all()


def test_pages_on_another_host_are_not_followed(github: FakeGitHub) -> None:
    for i in range(150):
        github.add(str(i))
    github.public_url = "http://evil.example"
    with pytest.raises(ApiError):
        client(github).all()
