from __future__ import annotations

from pathlib import Path

import pytest
from support import reports as made
from support.runner import read_outputs

from parity.github.files import SUMMARY_LIMIT, append_outputs, append_summary, summary_room


def test_outputs_are_read_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "output"
    path.write_text("earlier=1\n")
    append_outputs(path, {"status": "failed", "comment-id": ""})
    append_outputs(path, {"status": "passed"})
    assert read_outputs(path.read_text()) == {"earlier": "1", "status": "passed", "comment-id": ""}


@pytest.mark.parametrize("value", [*made.HOSTILE_NAMES, "a\nstatus<<EOF\npassed\nEOF", "x=1\ny=2"])
def test_no_value_sets_another_output(value: str, tmp_path: Path) -> None:
    path = tmp_path / "output"
    append_outputs(path, {"worst-output": value, "status": "failed"})
    read = read_outputs(path.read_text())
    assert set(read) == {"worst-output", "status"}
    assert read["status"] == "failed"
    assert "\n" not in read["worst-output"]


def test_the_delimiter_is_another_each_time(tmp_path: Path) -> None:
    path = tmp_path / "output"
    for _ in range(3):
        append_outputs(path, {"a": "b"})
    delimiters = {line.partition("<<")[2] for line in path.read_text().splitlines() if "<<" in line}
    assert len(delimiters) == 3
    assert all(len(each) >= 32 for each in delimiters)


@pytest.mark.parametrize(
    ("before", "after"), [("", "# new\n"), ("old\n", "old\n# new\n"), ("old", "old\n# new\n")]
)
def test_a_summary_goes_below_what_is_there(before: str, after: str, tmp_path: Path) -> None:
    path = tmp_path / "summary"
    path.write_text(before)
    append_summary(path, "# new\n")
    assert path.read_text() == after


def test_a_summary_has_room_for_less_than_github_drops(tmp_path: Path) -> None:
    path = tmp_path / "summary"
    assert summary_room(path) == SUMMARY_LIMIT - 1
    path.write_bytes(b"x" * 800 * 1024)
    assert summary_room(path) == 100 * 1024 - 1
    path.write_bytes(b"x" * SUMMARY_LIMIT)
    assert summary_room(path) == 0
