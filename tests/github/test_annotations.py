from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from support import reports as made
from support.runner import parse

from parity.github.annotations import MOST, all_annotations, repository_path
from parity.records.results import Problem

KINDS = made.all_kinds()


def test_a_failed_output_stands_on_the_line_of_its_tolerance() -> None:
    failing = made.output("heatmap", 2.0e-3, tolerance=made.tolerance(line=31, column=8))
    (entry,) = all_annotations(made.report((made.case("backbone_head", (failing,)),), 1))
    (read,) = parse(str(entry))
    assert read.name == "error"
    assert read.properties == {
        "file": made.SPEC,
        "line": "31",
        "col": "8",
        "title": "backbone_head / heatmap: 20.0 x its tolerance",
    }
    assert "greatest error 0.00200, tolerance atol 1e-4" in read.message
    assert "worst at [0, 1, 85, 85]: reference 1.2354279, candidate" in read.message


def test_the_cause_and_the_mend_are_told() -> None:
    message = all_annotations(KINDS["explained"])[0].message
    for name in ("mostly: ", "starts at: ", "because: ", "mend: "):
        assert f"\n{name}" in message


def test_the_worst_come_first_and_a_roll_up_last() -> None:
    outputs = tuple(made.output(f"x{i}", 1e-3 * (1 + i)) for i in range(25))
    told = all_annotations(made.report((made.case("model", outputs),), 1))
    assert len(told) == MOST == 10
    assert [entry.title.split(":")[0] for entry in told[:-1]] == [f"x{i}" for i in range(24, 15, -1)]
    assert told[-1].title == "16 more"


def test_ten_need_no_roll_up() -> None:
    outputs = tuple(made.output(f"x{i}", 1e-3) for i in range(10))
    told = all_annotations(made.report((made.case("model", outputs),), 1))
    assert {entry.title.split(":")[0] for entry in told} == {f"x{i}" for i in range(10)}


def test_what_has_grown_is_a_warning_on_the_line_of_its_tolerance_unless_it_fails() -> None:
    told = [entry for entry in all_annotations(KINDS["grown"]) if entry.level == "warning"]
    assert [entry.title.partition(" has grown")[0] for entry in told] == [
        "backbone_head / dim",
        "backbone_head / heatmap",
    ]
    assert told[0].message.startswith("no longer exact as in the baseline: now 2.20e-5")
    assert told[1].message.startswith("grown 100 x since the baseline: was 1.10e-7, now 1.10e-5; epsilon is")
    assert (told[1].file, told[1].line) == (made.SPEC, 31)
    failing = all_annotations(KINDS["grown-failed"])
    assert [(entry.level, entry.title) for entry in failing if "heatmap" in entry.title] == [
        ("error", "backbone_head / heatmap: grown 100 x")
    ]


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_the_runner_shows_all_of_them_and_obeys_nothing_else(kind: str) -> None:
    told = all_annotations(KINDS[kind])
    read = parse("\n".join(map(str, told)))
    assert len(read) == len(told)
    levels = Counter(entry.name for entry in read)
    assert set(levels) <= {"error", "warning", "notice"}
    assert max(levels.values(), default=0) <= MOST
    for entry in read:
        assert entry.message
        assert len(entry.message) <= 4_096
        assert not entry.properties.get("file", "").startswith(("/", ".."))
    assert bool(levels["error"]) == (kind not in ("green", "sets", "always", "grown", "empty"))


def test_what_could_not_be_judged_stands_at_its_place() -> None:
    told = all_annotations(KINDS["wrong-spec"])
    assert [(entry.file, entry.line, entry.column) for entry in told] == [(made.SPEC, 33, 3)]
    assert "the pattern 'heatmpa' matches no output" in told[0].message


def test_a_problem_elsewhere_stands_on_the_specification() -> None:
    problem = Problem(kind="input", message="4 columns", at="samples/3.npz", fix="give 5")
    report = made.report((), 2, (made.suite(problem=problem, sides=(), exports={}),))
    (entry,) = all_annotations(report)
    assert (entry.file, entry.line) == (made.SPEC, None)
    assert "at samples/3.npz" in entry.message
    assert "fix: give 5" in entry.message


def test_what_is_skipped_is_a_notice() -> None:
    notices = [entry for entry in all_annotations(KINDS["errors"]) if entry.level == "notice"]
    assert len(notices) == 1
    assert "no sweep at night" in notices[0].message


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("parity.yml", "parity.yml"),
        ("./a/../b/parity.yml", "b/parity.yml"),
        ("/workspace/a/parity.yml", "a/parity.yml"),
        ("/github/workspace/parity.yml", "parity.yml"),
        ("/home/runner/work/models/models/x.yml", "x.yml"),
        ("/home/runner/work/models/models-2/x.yml", ""),
        ("/workspace/../etc/passwd", ""),
        ("../parity.yml", ""),
        ("a/../../x", ""),
        ("/etc/passwd", ""),
        ("/workspace", ""),
        ("..", ""),
        (".", ""),
        ("", ""),
    ],
)
def test_paths_start_at_the_root_of_the_repository(path: str, expected: str) -> None:
    assert repository_path(path, Path("/home/runner/work/models/models")) == expected


@pytest.mark.parametrize(("line", "told"), [(None, None), (0, None), (-5, None), (3, "3")])
def test_a_line_is_one_that_a_file_can_have(line: int | None, told: str | None) -> None:
    failing = made.output("x", 0.5, tolerance=made.tolerance(line=line))
    (read,) = parse(str(all_annotations(made.report((made.case("model", (failing,)),), 1))[0]))
    assert read.properties.get("line") == told
