"""What a run costs, and its limits, in every report."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ET

from rich.console import Console
from support import reports as made

from parity.errors import ExitCode
from parity.github.annotations import all_annotations
from parity.records.results import Report
from parity.reports import junit, limits, markdown, selection, verdict
from parity.reports.console import print_report


def printed(report: Report, width: int = 110) -> str:
    stream = io.StringIO()
    print_report(report, {}, Console(file=stream, width=width, markup=False, emoji=False, highlight=False))
    return stream.getvalue()


def test_a_limit_that_is_exceeded_fails_the_report_whatever_it_says_itself() -> None:
    report = made.limits()
    assert verdict.exit_code(report) is ExitCode.FAILED
    assert verdict.exit_code(made.replaced(report, exit_code=0)) is ExitCode.FAILED
    assert "1 limit of latency or memory exceeded" in verdict.headline(report)


def test_a_limit_that_could_not_be_judged_is_no_pass() -> None:
    unknown = made.limit(status="error", problem="no latency was measured")
    case = made.case("model", (made.output("x", 1e-6),), performance=(unknown,))
    report = made.report((case,), 0)
    assert verdict.exit_code(report) is ExitCode.UNJUDGED
    (entry,) = selection.unjudged(report)
    assert entry.problem.message == "max_latency_ratio: no latency was measured"
    assert entry.problem.at == f"{made.SPEC}:88:3"


def test_all_sides_are_in_one_table() -> None:
    text = printed(made.limits())
    for side, median in (
        ("torch@cuda:0", "220 ms"),
        ("onnxruntime@cuda:0", "260 ms"),
        ("torch@cpu", "2000 ms"),
        ("onnxruntime@cpu", "2400 ms"),
    ):
        (line,) = (line for line in text.splitlines() if line.startswith(f"· {side}"))
        assert median in line
    assert "on the GPU" in text
    summary = markdown.render(made.limits())
    assert "On&nbsp;the&nbsp;GPU" in summary
    assert summary.index("220&nbsp;ms") < summary.index("260&nbsp;ms") < summary.index("2400&nbsp;ms")


def test_without_a_gpu_there_is_no_column_for_it() -> None:
    assert "on the GPU" not in printed(made.green())


def test_a_limit_has_a_block_and_a_doubt_a_note() -> None:
    text = printed(made.limits())
    assert "✗ max_latency_ratio  latency 1.83 x the reference's" in text
    assert "max_latency_ratio 1.5 at examples/centerpoint/parity.yml:88:3" in text
    assert "220 ms → 403 ms" in text
    ((subject, note),) = limits.doubts(made.limits())
    assert subject == "max_latency_ratio"
    assert note in " ".join(text.replace("│", "").split())


def test_the_worst_of_several_input_sets_stands_for_a_limit() -> None:
    cases = [
        made.case(
            "model", (made.output("x", 1e-6),), input_set=str(n), performance=(made.limit(ratio=ratio),)
        )
        for n, ratio in enumerate((1.6, 2.5, 1.9))
    ]
    (row,) = limits.exceeded(made.report(tuple(cases), 1))
    assert row.check.ratio == 2.5
    assert dict(limits.facts(row))["input set"] == "1, worst of 3"


def test_junit_has_a_case_for_each_limit_with_its_line() -> None:
    root = ET.fromstring(junit.render(made.limits()).split("\n", 1)[1])
    found = {
        (entry.get("classname", "").split("/")[0], entry.get("name")): entry
        for entry in root.iter("testcase")
        if (entry.get("name") or "").startswith("max_")
    }
    failed = found["centerpoint.cpu", "max_latency_ratio"]
    assert failed.get("line") == "88"
    assert failed.find("failure") is not None
    assert found["centerpoint.cpu", "max_memory_ratio"].find("error") is not None
    assert found["centerpoint.cuda:0", "max_latency_ratio"].find("failure") is None
    assert root.get("failures") == "1"
    assert root.get("errors") == "1"


def test_an_annotation_stands_on_the_line_of_the_limit() -> None:
    told = {entry.title: entry for entry in all_annotations(made.limits())}
    limit = told["max_latency_ratio: latency 1.83 x the reference's"]
    assert (limit.file, limit.line, limit.column) == (made.SPEC, 88, 3)
    unjudged = told["could not be judged"]
    assert (unjudged.file, unjudged.line) == (made.SPEC, 88)
