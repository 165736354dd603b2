from __future__ import annotations

import io
import xml.etree.ElementTree as ET

import pytest
from rich.console import Console
from support import reports as made
from support.reports import replaced

from parity.errors import ExitCode
from parity.records.results import BaselineResult, Growth, Report
from parity.reports import growth, junit, markdown, selection, verdict, wording
from parity.reports.console import print_report

NOTHING = "nothing has grown since base.json, by more than 10 x and than rounding"


def rows(report: Report) -> list[selection.OutputRow]:
    return selection.output_rows(report)


def one(state: str, *, sets: int = 1, **changes: object) -> Report:
    """One output over some input sets; the growth is of the last of them, the others are kept."""
    held = [Growth(state="kept", before=1e-5, factor=1.0)] * (sets - 1)
    held.append(Growth(**{"state": state, **changes}))
    cases = [
        made.case("model", (made.output("y", 1e-5, growth=each),), input_set=str(i))
        for i, each in enumerate(held)
    ]
    told = BaselineResult(file="base.json", max_growth=10.0, fail=False)
    return made.report(tuple(cases), 0, (made.suite(baseline=told),))


def test_the_largest_growth_comes_first_and_one_without_bound_before_all() -> None:
    told = growth.grown(rows(made.grown()))
    assert [str(entry) for entry in told] == [
        "no longer exact as in the baseline: now 2.20e-5",
        "grown 100 x since the baseline: was 1.10e-7, now 1.10e-5; epsilon is 2e-3 in the file, 1e-3 in the "
        "module (99.8 % of the export error)",
    ]


def test_a_row_has_grown_where_one_of_its_input_sets_has() -> None:
    (entry,) = growth.grown(rows(one("grown", sets=3, before=1e-9, factor=1e4)))
    assert (entry.case.input_set, entry.sets, len(entry.row.cases)) == ("2", 1, 3)
    assert growth.grown(rows(one("rounding", before=0.0))) == []


@pytest.mark.parametrize(
    ("report", "said"),
    [
        (
            one("kept", before=1e-5, factor=1.0),
            ["nothing has grown since base.json, by more than 10 x and than rounding"],
        ),
        (one("grown", before=1e-9, factor=1e4), []),
        (one("new"), ["base.json knows none of these outputs: nothing was held against it"]),
        (
            one("new", sets=2),
            [
                "new since base.json with some or all input sets, so not held against it: y",
                NOTHING,
            ],
        ),
        (made.green(), []),
    ],
)
def test_what_else_is_to_be_known_is_said(report: Report, said: list[str]) -> None:
    assert [text for _, text in growth.notes(report, rows(report))] == said


@pytest.mark.parametrize(
    ("kind", "headline", "code"),
    [
        ("grown", "13 outputs within tolerance, 2 grown since the baseline", ExitCode.PASSED),
        ("grown-failed", "2 of 13 outputs grown since the baseline", ExitCode.FAILED),
    ],
)
def test_the_verdict_tells_growth_from_what_is_beyond_tolerance(
    kind: str, headline: str, code: ExitCode
) -> None:
    report = made.all_kinds()[kind]
    assert verdict.headline(report) == headline
    assert verdict.exit_code(report) is code


def test_an_output_that_fails_by_growth_alone_says_so() -> None:
    backbone = made.grown(fail=True).cases[1]
    assert wording.how_far(backbone.outputs[0]) == "grown 100 x"
    both = replaced(made.output("y", 0.5), growth=backbone.outputs[0].growth)
    assert wording.how_far(both) == "5,000 x its tolerance"


def test_the_console_and_the_summary_show_it() -> None:
    text = io.StringIO()
    print_report(made.grown(), {}, Console(file=text, width=110))
    assert "▲ backbone_head / heatmap  grown 100 x since the baseline" in text.getvalue()
    summary = markdown.render(made.grown())
    head = summary.partition("<details>")[0]
    assert "### Grown since the baseline" in head
    assert "| 1.10e-7 | 1.10e-5 | **100&nbsp;x** | 0.11&nbsp;x | epsilon is 2e-3" in head
    quiet = markdown.render(one("kept", before=1e-5, factor=1.0)).partition("<details>")[0]
    assert "### Since the baseline" in quiet
    assert "baseline" not in markdown.render(made.green())


def test_a_server_of_tests_fails_it_only_where_growth_fails() -> None:
    for kind, failures in (("grown", "0"), ("grown-failed", "1")):
        root = ET.fromstring(junit.render(made.all_kinds()[kind]))
        assert root.get("failures") == failures
    message = next(root.iter("failure")).get("message") or ""
    assert message.startswith("grown 100 x: epsilon is")
