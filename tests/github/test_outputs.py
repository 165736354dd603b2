from __future__ import annotations

import re
from pathlib import Path

import pytest
from support import reports as made

from parity.github.outputs import of_report, status

KINDS = made.all_kinds()
NAMES = ["status", "passed", "failed", "errors", "grown", "skipped", "worst-output", "worst-ratio"]
NAMES += ["junit-path", "json-path", "summary-path", "html-path"]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("green", "passed"),
        ("red", "failed"),
        ("errors", "error"),
        ("wrong-spec", "error"),
        ("empty", "error"),
        ("hostile", "failed"),
    ],
)
def test_status(kind: str, expected: str) -> None:
    assert status(KINDS[kind]) == expected


def test_a_forged_pass_is_none() -> None:
    assert status(made.replaced(KINDS["red"], exit_code=0)) == "failed"
    assert status(made.replaced(KINDS["empty"], exit_code=0)) == "error"


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_output_is_there_and_safe_in_a_shell(kind: str) -> None:
    outputs = of_report(KINDS[kind], {})
    assert list(outputs) == NAMES
    for value in outputs.values():
        assert re.fullmatch(r"[A-Za-z0-9 ._/:+=@-]*", value)
    assert re.fullmatch(r"(inf|[0-9.e+-]+)?", outputs["worst-ratio"])


def test_counts_and_the_worst() -> None:
    outputs = (made.output("a", 1e-5), made.output("b", 5e-4), made.output("c", 2e-4))
    told = of_report(made.report((made.case("model", outputs),), 1), {})
    assert (told["passed"], told["failed"], told["errors"], told["skipped"]) == ("1", "2", "0", "0")
    assert (told["worst-output"], told["worst-ratio"]) == ("b", "5")


def test_what_could_not_be_judged_is_counted() -> None:
    told = of_report(KINDS["errors"], {})
    assert (told["errors"], told["skipped"]) == ("31", "1")


def test_what_has_grown_is_counted_whether_or_not_it_fails() -> None:
    assert [of_report(KINDS[kind], {})["grown"] for kind in ("green", "grown", "grown-failed")] == [
        "0",
        "2",
        "2",
    ]


def test_a_failure_without_a_figure_is_infinite() -> None:
    outputs = (made.output("a", 0.5), made.unmeasured("b", "another shape"))
    told = of_report(made.report((made.case("model", outputs),), 1), {})
    assert (told["worst-output"], told["worst-ratio"]) == ("b", "inf")


def test_paths_are_those_of_what_was_written() -> None:
    told = of_report(KINDS["green"], {"junit.xml": Path("out/junit.xml")})
    assert told["junit-path"] == "out/junit.xml"
    assert told["html-path"] == told["json-path"] == told["summary-path"] == ""
