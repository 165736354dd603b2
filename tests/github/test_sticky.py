from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from support import reports as made
from support.github_api import BODY_LIMIT, FORBIDDEN, NUMBER, REPOSITORY, TOKEN, Failure, FakeGitHub, serving

from parity.github import history
from parity.github.api import ApiError, PullRequestComments
from parity.github.comment import comment_key, marker, render
from parity.github.context import Context, PullRequest
from parity.github.sticky import Kept, Mode, is_wanted, keep, why_not
from parity.records.results import Report

KEY = "gate-1"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
GREEN, RED = made.green(), made.red()


@pytest.fixture
def github(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGitHub]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving() as server:
        yield server


def post(
    github: FakeGitHub, report: Report, mode: Mode = "always", key: str = KEY, commit: str = COMMIT
) -> Kept:
    comments = PullRequestComments(github.url, TOKEN, REPOSITORY, NUMBER, backoff_s=0.01)
    context, state = Context(commit=commit), history.state_of(report, commit)
    return keep(comments, key, state, lambda before: render(report, key, context, state, before), mode)


def test_the_first_run_posts(github: FakeGitHub) -> None:
    kept = post(github, GREEN)
    assert kept.action == "created"
    assert list(github.comments) == [kept.id]
    assert github.bodies()[0].startswith(f"{marker(KEY)}\n## ✅ parity:")


def test_the_next_run_updates_and_tells_what_changed(github: FakeGitHub) -> None:
    first = post(github, GREEN)
    second = post(github, RED, commit="f" * 40)
    assert (second.action, second.id) == ("updated", first.id)
    (body,) = github.bodies()
    assert "Was passed, now failed." in body
    assert "Since <code>0123456</code>" in body
    assert "(passed), now " in body


def test_the_same_again_writes_nothing(github: FakeGitHub) -> None:
    first = post(github, RED)
    before = dict(github.comments)
    again = made.replaced(RED, started_at="2030-01-01T00:00:00Z", duration_s=1.0)
    assert post(github, again) == Kept("unchanged", first.id)
    assert github.comments == before
    assert len(github.writes()) == 1


def test_the_comment_is_found_among_250_on_three_pages(github: FakeGitHub) -> None:
    for i in range(220):
        github.add(f"remark {i}", author="somebody")
    first = post(github, GREEN)
    for i in range(29):
        github.add(f"more {i}", author="somebody")
    github.requests.clear()
    kept = post(github, RED)
    assert (kept.action, kept.id) == ("updated", first.id)
    assert sum(entry.startswith("GET") for entry in github.requests) == 3
    assert len(github.comments) == 250


def test_own_duplicates_are_removed_and_the_first_one_stays(github: FakeGitHub) -> None:
    lowest = github.add(f"{marker(KEY)}\nold")
    others = [github.add(f"{marker(KEY)}\r\nolder copy {i}") for i in range(3)]
    kept = post(github, RED)
    assert (kept.action, kept.id) == ("updated", lowest)
    assert not set(others) & set(github.comments)


def test_a_duplicate_that_stays_is_a_warning(github: FakeGitHub) -> None:
    github.add(f"{marker(KEY)}\nold")
    github.add(f"{marker(KEY)}\nolder")
    github.failures.append(Failure("DELETE", *FORBIDDEN))
    kept = post(github, RED)
    assert kept.action == "updated"
    assert len(kept.warnings) == 1
    assert "403" in kept.warnings[0]


@pytest.mark.parametrize("author", ["mallory", "other-app[bot]", "github-actions"])
def test_what_others_wrote_is_left_alone(github: FakeGitHub, author: str) -> None:
    forged = [github.add(f"{marker(KEY)}\nforged", author) for _ in range(2)]
    kept = post(github, RED)
    assert kept.action == "created"
    assert kept.id not in forged
    assert github.bodies(author) == [f"{marker(KEY)}\nforged"] * 2


def test_a_marker_elsewhere_in_a_text_is_none(github: FakeGitHub) -> None:
    github.add(f"quoting\n{marker(KEY)}")
    github.add(marker(f"{KEY}0"))
    assert post(github, RED).action == "created"
    assert len(github.comments) == 3


def test_a_comment_removed_meanwhile_is_posted_again(github: FakeGitHub) -> None:
    post(github, GREEN)
    github.failures.append(Failure("PATCH", 404, {"message": "Not Found"}))
    assert post(github, RED).action == "created"


def test_two_jobs_of_a_matrix_at_once_have_a_comment_each(github: FakeGitHub) -> None:
    keys = [comment_key("", "verify", f'{{"model": "{name}"}}') for name in ("a", "b")]
    ready, done = threading.Barrier(2), []

    def job(key: str, report: Report) -> None:
        ready.wait()
        done.append(post(github, report, key=key).action)

    for reports in ((GREEN, RED), (RED, GREEN)):
        jobs = [threading.Thread(target=job, args=entry) for entry in zip(keys, reports, strict=True)]
        for thread in jobs:
            thread.start()
        for thread in jobs:
            thread.join()
    assert sorted(done) == ["created", "created", "updated", "updated"]
    assert len(github.comments) == 2
    heads = {body.split("\n")[0]: body.split("\n")[1][:4] for body in github.bodies()}
    assert heads == {marker(keys[0]): "## ❌", marker(keys[1]): "## ✅"}


def many_outputs(count: int, error: float) -> Report:
    outputs = tuple(made.output(f"{'@' * 100}{i}", error) for i in range(count))
    return made.report((made.case("model", outputs),), 1 if error > 1e-4 else 0)


@pytest.mark.parametrize("error", [1e-5, 0.5])
def test_a_comment_that_is_too_long_is_cut_at_rows(github: FakeGitHub, error: float) -> None:
    post(github, many_outputs(2_000, error))
    (body,) = github.bodies()
    assert 30_000 < len(body.encode()) <= 60_000 < BODY_LIMIT
    assert body.startswith(f"{marker(KEY)}\n## ")
    assert "more, see results.json" in body
    assert body.count("<details>") == body.count("</details>")
    rows = [line for line in body.split("\n") if line.startswith("|")]
    assert all(line.endswith("|") for line in rows)
    assert history.read(body) is not None


def test_a_cut_comment_is_not_written_again(github: FakeGitHub) -> None:
    first = post(github, many_outputs(2_000, 0.5))
    assert post(github, many_outputs(2_000, 0.5)) == Kept("unchanged", first.id)


@pytest.mark.parametrize("failure", [Failure("POST", *FORBIDDEN), Failure("GET", 404), Failure("POST", 422)])
def test_what_github_refuses_is_told(github: FakeGitHub, failure: Failure) -> None:
    github.failures.append(failure)
    with pytest.raises(ApiError) as caught:
        post(github, RED)
    assert caught.value.status == failure.status


def test_a_server_that_comes_back_gets_the_comment(github: FakeGitHub) -> None:
    github.failures += [Failure("POST", 500), Failure("POST", 429, {}, {"Retry-After": "0"})]
    assert post(github, RED).action == "created"
    assert len(github.comments) == 1


@pytest.mark.parametrize(
    ("mode", "reports", "actions"),
    [
        ("always", [GREEN, GREEN, RED], ["created", "unchanged", "updated"]),
        ("failures", [GREEN, RED, GREEN], ["not wanted", "created", "updated"]),
        ("failures", [made.errors()], ["created"]),
        ("changes", [GREEN, RED, RED, GREEN], ["created", "updated", "not wanted", "updated"]),
    ],
)
def test_when_the_comment_is_written(
    github: FakeGitHub, mode: Mode, reports: list[Report], actions: list[str]
) -> None:
    said = []
    for i, report in enumerate(reports):
        commit = "a" * 40 if mode == "always" else f"{i:040x}"
        said.append(post(github, report, mode, commit=commit).action)
    assert said == actions


def test_off_never_writes() -> None:
    state = history.state_of(RED, "")
    assert not is_wanted("off", state, None, exists=True)


@pytest.mark.parametrize(
    ("status", "read_only", "word"),
    [
        (403, True, "fork"),
        (403, False, "pull-requests: write"),
        (404, False, "pull request 7"),
        (422, False, "refuses its text"),
        (None, False, "step summary"),
        (500, False, "500"),
    ],
)
def test_the_reason_says_what_to_do(status: int | None, read_only: bool, word: str) -> None:
    said = why_not(ApiError("no", status), PullRequest(7, read_only=read_only))
    assert word in said
    assert "step summary" in said


def test_every_hostile_name_goes_into_a_comment(github: FakeGitHub) -> None:
    post(github, made.hostile())
    (body,) = github.bodies()
    assert "##[" not in body
    assert history.read(body) is not None


def test_an_edited_state_is_no_history(github: FakeGitHub) -> None:
    post(github, GREEN)
    number = next(iter(github.comments))
    entry: dict[str, Any] = github.comments[number]
    entry["body"] = entry["body"].replace('"version":1', '"version":"; rm"')
    assert post(github, RED).action == "updated"
    assert "Since" not in github.bodies()[0]
