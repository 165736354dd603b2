"""The comment of an earlier run where this one could not even start."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cmarkgfm import github_flavored_markdown_to_html
from hypothesis import given
from hypothesis import strategies as st
from support import reports
from support.composite import ActionRun
from support.github_api import NUMBER, REPOSITORY, TOKEN, Failure, FakeGitHub, serving

from parity.github import history
from parity.github.comment import comment_key, marker, render
from parity.github.context import Context

KEY = comment_key("", "parity", "")
SAID = "nothing could be judged"


@pytest.fixture
def github(monkeypatch: pytest.MonkeyPatch):
    with serving() as found:
        yield found


def earlier(github: FakeGitHub, key: str = KEY) -> int:
    """A comment as the run before has left it: all is well."""
    report = reports.green()
    body = render(report, key, Context(commit="a" * 40), history.state_of(report, "a" * 40))
    return github.add(body)


def environ(github: FakeGitHub, folder: Path) -> dict[str, str]:
    event = folder / "event.json"
    pull_request = {"number": NUMBER, "head": {"sha": "b" * 40, "repo": {"full_name": REPOSITORY}}}
    event.write_text(json.dumps({"pull_request": pull_request}))
    return {
        "GITHUB_API_URL": github.url,
        "GITHUB_EVENT_PATH": str(event),
        "GITHUB_REPOSITORY": REPOSITORY,
        "GITHUB_RUN_ID": "42",
        "GITHUB_SERVER_URL": "https://github.com",
        "no_proxy": "127.0.0.1",
    }


def run(bench, github: FakeGitHub, folder: Path, **inputs: str) -> ActionRun:
    action = bench.action(**environ(github, folder))
    action.contexts["github"]["token"] = TOKEN
    return action.run(**{"comment": "always", **inputs})


@pytest.mark.parametrize(
    ("inputs", "why"),
    [
        ({"spec": "missing.yml"}, "matches no file"),
        ({"image": "org/missing:1"}, "could not be pulled"),
        ({"mode": "vm"}, "`mode` is"),
    ],
)
def test_it_says_that_nothing_was_judged_and_why(
    bench, github: FakeGitHub, tmp_path: Path, inputs: dict[str, str], why: str
) -> None:
    number = earlier(github)
    result = run(bench, github, tmp_path, **inputs)
    assert result.outputs["status"] == "error"
    assert result.steps["gate"].status not in (0, None)
    body = github.comments[number]["body"]
    assert body.startswith(marker(KEY))
    assert SAID in body
    assert why in body
    assert "within tolerance" not in body
    assert "[run](https://github.com/org/models/actions/runs/42)" in body
    assert "bbbbbbb" in body
    assert github.writes() == [f"PATCH /repos/{REPOSITORY}/issues/comments/{number}"]
    summary = result.steps["report"].summary
    assert SAID in summary
    assert why in summary


def test_the_next_run_writes_it_anew(bench, github: FakeGitHub, tmp_path: Path) -> None:
    earlier(github)
    run(bench, github, tmp_path, spec="missing.yml")
    (body,) = github.bodies()
    assert history.read(body) is None


def test_comments_of_others_and_of_other_jobs_are_left_alone(
    bench, github: FakeGitHub, tmp_path: Path
) -> None:
    earlier(github, comment_key("", "other", ""))
    github.add(f"{marker(KEY)}\nquoted", author="somebody")
    for i in range(200):
        github.add(f"remark {i}", author="somebody")
    mine = earlier(github)
    run(bench, github, tmp_path, spec="missing.yml")
    assert [number for number, entry in github.comments.items() if SAID in entry["body"]] == [mine]


def test_where_there_is_no_comment_none_is_posted(bench, github: FakeGitHub, tmp_path: Path) -> None:
    run(bench, github, tmp_path, spec="missing.yml")
    assert github.comments == {}


def test_off_asks_github_for_nothing(bench, github: FakeGitHub, tmp_path: Path) -> None:
    earlier(github)
    run(bench, github, tmp_path, spec="missing.yml", comment="off")
    assert github.requests == []


@pytest.mark.parametrize("status", [403, 404, 422])
def test_what_github_refuses_is_told_and_changes_nothing_else(
    bench, github: FakeGitHub, tmp_path: Path, status: int
) -> None:
    earlier(github)
    github.failures.append(Failure("PATCH", status, {"message": "no"}))
    result = run(bench, github, tmp_path, spec="missing.yml")
    assert f"could not be updated: HTTP Error {status}" in result.steps["report"].log
    assert result.outputs["status"] == "error"
    assert "ghs_secret" not in result.log


def test_a_server_that_comes_back_gets_it(bench, github: FakeGitHub, tmp_path: Path) -> None:
    number = earlier(github)
    github.failures.append(Failure("PATCH", 502, {"message": "down"}))
    run(bench, github, tmp_path, spec="missing.yml")
    assert SAID in github.comments[number]["body"]


def test_a_hostile_reason_stays_a_text(bench, github: FakeGitHub, tmp_path: Path) -> None:
    number = earlier(github)
    run(bench, github, tmp_path, spec="```\n<img src=x> @octocat ::error::x <!-- -->.yml")
    page = github_flavored_markdown_to_html(github.comments[number]["body"].split("\n", 1)[1])
    assert "<img" not in page
    assert "octocat" not in page.partition("<pre")[0] + page.partition("</pre>")[2]


names = st.text(max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | names,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)


@given(names, names, values.map(json.dumps) | names)
def test_its_key_is_that_of_parity(script_module, name: str, job: str, matrix: str) -> None:
    assert script_module.comment_key(name, job, matrix) == comment_key(name, job, matrix)
