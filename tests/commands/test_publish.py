from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import pytest
from support import reports as made
from support.github_api import FORBIDDEN, NUMBER, REPOSITORY, TOKEN, Failure, FakeGitHub, serving
from support.runner import Command, parse, read_outputs

from parity.cli import _parser, main
from parity.commands import publish
from parity.errors import ExitCode
from parity.github.sticky import Mode
from parity.records.results import Report
from parity.reports import results

KINDS = made.all_kinds()
OUTPUTS = {"status", "passed", "failed", "errors", "grown", "skipped", "worst-output", "worst-ratio"}
OUTPUTS |= {"junit-path", "json-path", "summary-path", "html-path", "comment-id"}


@dataclass
class Step:
    """A step of a job: its folder, its GitHub, and what it left behind."""

    folder: Path
    github: FakeGitHub
    capsys: pytest.CaptureFixture[str]

    @property
    def results(self) -> Path:
        return self.folder / "parity-report" / "results.json"

    def save(self, report: Report) -> None:
        self.results.write_text(results.render(report))

    def run(self, **options: object) -> ExitCode:
        return publish.run(str(self.results), publish.Options(**options))  # type: ignore[arg-type]

    def outputs(self) -> dict[str, str]:
        return read_outputs((self.folder / "output").read_text())

    def summary(self) -> str:
        return (self.folder / "summary").read_text()

    def commands(self) -> list[Command]:
        out = self.capsys.readouterr().out
        assert TOKEN not in out
        return parse(out)


@pytest.fixture
def step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Step]:
    (tmp_path / "parity-report").mkdir()
    head = {"sha": "a" * 40, "repo": {"full_name": REPOSITORY}}
    event = {"pull_request": {"number": NUMBER, "head": head}}
    (tmp_path / "event.json").write_text(json.dumps(event))
    for name in [name for name in os.environ if name.startswith("GITHUB_")]:
        monkeypatch.delenv(name)
    with serving() as github:
        given = {
            "GITHUB_API_URL": github.url,
            "GITHUB_REPOSITORY": REPOSITORY,
            "GITHUB_EVENT_PATH": str(tmp_path / "event.json"),
            "GITHUB_WORKSPACE": str(tmp_path),
            "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
            "GITHUB_OUTPUT": str(tmp_path / "output"),
            "GITHUB_JOB": "verify",
            "GITHUB_TOKEN": TOKEN,
            "NO_PROXY": "127.0.0.1",
        }
        for name, value in given.items():
            monkeypatch.setenv(name, value)
        yield Step(tmp_path, github, capsys)


@pytest.mark.parametrize(
    ("kind", "code", "status"),
    [
        ("green", 0, "passed"),
        ("red", 1, "failed"),
        ("explained", 1, "failed"),
        ("wrong-spec", 2, "error"),
        ("errors", 3, "error"),
        ("empty", 3, "error"),
        ("hostile", 1, "failed"),
    ],
)
def test_a_run_is_published(kind: str, code: int, status: str, step: Step) -> None:
    step.save(KINDS[kind])
    assert step.run(exit_status=code) == code
    outputs = step.outputs()
    assert set(outputs) == OUTPUTS
    assert outputs["status"] == status
    assert outputs["json-path"] == "parity-report/results.json"
    assert outputs["junit-path"] == "parity-report/junit.xml"
    for name in ("junit-path", "json-path", "summary-path", "html-path"):
        assert (step.folder / outputs[name]).is_file()
    assert step.summary().startswith("## ")
    assert list(step.github.comments) == [int(outputs["comment-id"])]
    levels = {entry.name for entry in step.commands()}
    assert levels <= {"error", "warning", "notice"}
    assert ("error" in levels) == (kind not in ("green", "empty"))


@pytest.mark.parametrize("what", ["none", "large", "no json", "link"])
def test_without_results_everything_says_so(what: str, step: Step) -> None:
    if what == "large":
        with step.results.open("wb") as file:
            file.truncate(100 * 2**20)
    elif what == "no json":
        step.results.write_text("::error::hijacked\n##[error]hijacked")
    elif what == "link":
        step.results.symlink_to("/etc/passwd")
    assert step.run(exit_status=137) is ExitCode.UNJUDGED
    outputs = step.outputs()
    assert outputs["status"] == "error"
    assert outputs["passed"] == "0"
    assert (step.folder / outputs["junit-path"]).is_file()
    assert "could not be judged" in step.summary()
    (body,) = step.github.bodies()
    assert "could not be judged" in body
    (error,) = step.commands()
    assert error.name == "error"
    assert "killed by SIGKILL" in error.message


def test_results_of_another_run_are_no_pass(step: Step) -> None:
    step.save(KINDS["green"])
    assert step.run(exit_status=1) is ExitCode.UNJUDGED
    assert step.outputs()["status"] == "error"


@pytest.mark.parametrize("repository", [REPOSITORY, "somebody/models"])
def test_a_token_that_can_only_read_is_a_warning(repository: str, step: Step) -> None:
    head = {"sha": "a" * 40, "repo": {"full_name": repository}}
    event = {"pull_request": {"number": NUMBER, "head": head}}
    (step.folder / "event.json").write_text(json.dumps(event))
    step.save(KINDS["green"])
    step.github.failures.append(Failure("POST", *FORBIDDEN))
    assert step.run() is ExitCode.PASSED
    assert step.outputs()["comment-id"] == ""
    assert step.outputs()["status"] == "passed"
    assert step.summary()
    (warning,) = step.commands()
    assert warning.name == "warning"
    assert ("fork" in warning.message) == (repository != REPOSITORY)


def test_a_server_that_is_gone_is_a_warning(step: Step, monkeypatch: pytest.MonkeyPatch) -> None:
    step.save(KINDS["green"])
    monkeypatch.setenv("GITHUB_API_URL", "nonsense")
    assert step.run() is ExitCode.PASSED
    assert [entry.name for entry in step.commands()] == ["warning"]


@pytest.mark.parametrize("missing", ["GITHUB_TOKEN", "GITHUB_EVENT_PATH", "GITHUB_REPOSITORY"])
def test_without_a_pull_request_or_token_there_is_no_comment(
    missing: str, step: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    step.save(KINDS["green"])
    monkeypatch.delenv(missing)
    assert step.run() is ExitCode.PASSED
    assert step.outputs()["comment-id"] == ""
    assert not step.github.requests


def test_off_asks_github_nothing(step: Step) -> None:
    step.save(KINDS["red"])
    assert step.run(comment="off") is ExitCode.FAILED
    assert not step.github.requests


def test_the_history_is_told_on_the_next_run(step: Step) -> None:
    step.save(KINDS["green"])
    step.run()
    first = step.outputs()["comment-id"]
    step.save(KINDS["red"])
    step.run()
    assert step.outputs()["comment-id"] == first
    assert "Was passed, now failed." in step.github.bodies()[0]


def test_places_of_a_matrix_have_a_comment_each(step: Step) -> None:
    step.save(KINDS["green"])
    for model in ("a", "b", "a"):
        step.run(matrix=json.dumps({"model": model}))
    assert len(step.github.comments) == 2


def test_outside_github_it_needs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in os.environ if name.startswith("GITHUB_")]:
        monkeypatch.delenv(name)
    path = tmp_path / "results.json"
    path.write_text(results.render(KINDS["green"]))
    assert publish.run(str(path), publish.Options()) is ExitCode.PASSED
    assert "13 outputs within tolerance" in capsys.readouterr().out


def test_a_full_summary_is_a_warning(step: Step) -> None:
    step.save(KINDS["green"])
    (step.folder / "summary").write_bytes(b"x" * 900 * 1024)
    assert step.run(comment="off") is ExitCode.PASSED
    assert [entry.name for entry in step.commands()] == ["warning"]


def test_a_summary_of_many_outputs_is_cut(step: Step) -> None:
    outputs = tuple(made.output(f"{'ü' * 100}{i}", 0.5) for i in range(4_000))
    step.save(made.report((made.case("model", outputs),), 1))
    (step.folder / "summary").write_text("earlier\n")
    assert step.run(comment="off") is ExitCode.FAILED
    size = (step.folder / "summary").stat().st_size
    assert 500 * 1024 < size <= 900 * 1024
    assert step.summary().rstrip().endswith(("</details>", "see results.json"))


def test_outputs_that_can_not_be_written_are_no_pass(step: Step, monkeypatch: pytest.MonkeyPatch) -> None:
    step.save(KINDS["green"])
    monkeypatch.setenv("GITHUB_OUTPUT", str(step.folder))
    assert main(["publish", str(step.results)]) == ExitCode.UNJUDGED


def test_reports_that_can_not_be_written_are_a_warning(step: Step) -> None:
    step.save(KINDS["green"])
    (step.folder / "parity-report" / "junit.xml").mkdir()
    assert step.run(comment="off") is ExitCode.PASSED
    assert step.outputs()["junit-path"] == ""
    assert [entry.name for entry in step.commands()] == ["warning"]


def test_the_reports_of_the_untrusted_job_are_made_again(step: Step) -> None:
    step.save(KINDS["green"])
    folder = step.folder / "parity-report"
    elsewhere = step.folder / "elsewhere"
    elsewhere.write_text("kept")
    (folder / "summary.md").write_text("<script>")
    (folder / "junit.xml").symlink_to(elsewhere)
    (folder / "report.html").write_text("<script>")
    step.run(comment="off")
    assert elsewhere.read_text() == "kept"
    assert not (folder / "junit.xml").is_symlink()
    assert "<script>" not in (folder / "summary.md").read_text()
    html = step.outputs()["html-path"]
    assert not html or (step.folder / html).read_text() != "<script>"


def test_a_defect_leaves_no_verdict_but_error(step: Step, monkeypatch: pytest.MonkeyPatch) -> None:
    step.save(KINDS["green"])
    monkeypatch.setattr(publish.markdown, "render", lambda *_: 1 / 0)
    assert main(["publish", str(step.results)]) == ExitCode.TOOL_DEFECT
    assert step.outputs()["status"] == "error"


def test_the_command_line_gives_every_option(step: Step) -> None:
    step.save(KINDS["green"])
    options = ["--comment", "failures", "--comment-key", "k", "--matrix", "{}", "--exit-status", "0"]
    options += ["--pull-request", "7", "--shown-as", "shown", "--no-summary"]
    assert main(["publish", str(step.results), *options]) == 0
    assert step.outputs()["json-path"] == "shown/results.json"
    assert not (step.folder / "summary").exists()
    assert not step.github.comments


@pytest.mark.parametrize("mode", get_args(Mode))
def test_the_command_line_knows_every_mode(mode: str) -> None:
    assert _parser().parse_args(["publish", "x", "--comment", mode]).comment == mode


def test_other_commands_load_no_client() -> None:
    program = "import sys, parity.cli, parity.commands.check, parity.commands.publish; "
    program += "print([m for m in ('github', 'requests', 'rich', 'torch', 'onnx') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
