from __future__ import annotations

import os
from pathlib import Path

import pytest
from support import reports as made

from parity.errors import ExitCode
from parity.github.receiving import SIZE_LIMIT, receive
from parity.records.results import Report
from parity.reports import results, verdict


def saved(path: Path, report: Report) -> Path:
    path.write_text(results.render(report))
    return path


def problem_of(report: Report) -> str:
    problem = report.suites[-1].problem
    assert problem is not None
    assert problem.fix
    return problem.message


@pytest.mark.parametrize(("kind", "code"), [("green", 0), ("red", 1), ("wrong-spec", 2), ("errors", 3)])
def test_results_come_as_they_are(kind: str, code: int, tmp_path: Path) -> None:
    report = made.all_kinds()[kind]
    path = saved(tmp_path / "results.json", report)
    assert receive(path) == receive(path, code) == report


@pytest.mark.parametrize(
    ("status", "said"),
    [(137, "status 137, killed by SIGKILL"), (143, "killed by SIGTERM"), (1, "status 1,"), (4, "status 4,")],
)
def test_a_gate_that_ended_otherwise_is_no_pass(status: int, said: str, tmp_path: Path) -> None:
    report = receive(saved(tmp_path / "results.json", made.green()), status)
    assert verdict.exit_code(report) is ExitCode.UNJUDGED
    assert said in problem_of(report)


def test_a_proven_failure_stays_one(tmp_path: Path) -> None:
    report = receive(saved(tmp_path / "results.json", made.red()), 137)
    assert verdict.exit_code(report) is ExitCode.FAILED


def test_a_failure_that_ended_as_a_pass_is_one(tmp_path: Path) -> None:
    report = receive(saved(tmp_path / "results.json", made.red()), 0)
    assert verdict.exit_code(report) is ExitCode.FAILED


@pytest.mark.parametrize("status", [None, 0, 137])
@pytest.mark.parametrize(
    "what",
    [
        "none",
        "folder",
        "empty",
        "truncated",
        "other",
        "version",
        "wrong-types",
        "link",
        "pipe",
        "deep",
        "huge",
    ],
)
def test_what_holds_no_results_is_no_pass(what: str, status: int | None, tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    good = results.render(made.green())
    match what:
        case "none":
            pass
        case "folder":
            path.mkdir()
        case "link":
            path.symlink_to(saved(tmp_path / "elsewhere.json", made.green()))
        case "pipe":
            os.mkfifo(path)
        case _:
            texts = {
                "empty": "",
                "truncated": good[:-100],
                "other": "[]",
                "version": good.replace('"schema_version": 1', '"schema_version": 99'),
                "wrong-types": good.replace('"cases": [', '"cases": [7, '),
                "deep": "[" * 100_000,
                "huge": good.replace('"cores": ', f'"cores": {"9" * 400}'),
            }
            assert texts[what] != good
            path.write_text(texts[what])
    report = receive(path, status)
    assert verdict.exit_code(report) is ExitCode.UNJUDGED
    assert not report.cases
    message = problem_of(report)
    assert (status is None) is ("the gate ended" not in message)
    assert str(tmp_path) not in message


def test_a_file_without_end_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    with path.open("wb") as file:
        file.truncate(2**40)  # takes no space, and would take all memory
    assert "larger than the 32 MiB" in problem_of(receive(path))


def test_as_much_as_is_read_is_bounded(tmp_path: Path) -> None:
    path = saved(tmp_path / "results.json", made.green())
    text = path.read_bytes()
    path.write_bytes(text + b" " * (SIZE_LIMIT - len(text)))
    assert receive(path) == made.green()
    path.write_bytes(text + b" " * (SIZE_LIMIT - len(text) + 1))
    assert verdict.exit_code(receive(path)) is ExitCode.UNJUDGED
