"""What was matched, in words, and that every report has them."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from support.reports import ROWS, case, matched, measurement, output, replaced, report, tolerance

from parity.records.matching import Matching
from parity.reports import console, figures, junit, markdown, results, selection, wording
from parity.reports.matching import facts, lone, summary


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (ROWS, "12 rows with 11, 3 at another place, 3 without a counterpart (1 of them optional)"),
        (Matching(kind="rows", reference=1, candidate=1), "1 row with 1"),
        (
            Matching(kind="sorted", reference=5, candidate=5, moved=2),
            "5 sorted values with 5, 2 at another place",
        ),
        (
            Matching(kind="topk", reference=5, candidate=5, swapped=1),
            "5 top k values with 5, 1 tied with another at the end",
        ),
        (
            Matching(kind="argmax", reference=9, candidate=9, flipped=2, undecided=1),
            "7 of 9 decisions as in the reference, 1 within the margin",
        ),
    ],
)
def test_a_summary(found: Matching, text: str) -> None:
    assert summary(found) == text


def test_nothing_is_said_where_nothing_is_matched() -> None:
    assert (facts(None), lone(None)) == ([], 0)
    assert lone(ROWS) == 2


def test_rows_that_may_be_missing_and_are_do_not_pass_unseen() -> None:
    found = Matching(kind="rows", reference=12, candidate=11, lone_reference=1, optional=1)
    outputs = tuple(
        output(name, 0.0, measurement=replaced(measurement(0.0, (11, 4), 0.0), matching=found))
        for name in ("boxes", "scores")
    )
    rows = selection.output_rows(report((case("model", outputs),), 0))
    (told,) = wording.never_compared(rows)
    assert told == ("boxes, scores", "1 row without a counterpart, which optional_below allows")


@pytest.mark.parametrize(
    ("stated", "text"),
    [
        ({"match": "rows", "atol": 0.01}, "rows, atol 0.01"),
        ({"match": "argmax", "margin": 0.5, "atol": None}, "argmax, margin 0.5"),
        ({"optional_below": 0.051, "atol": 0.01}, "optional ≤ 0.051, atol 0.01"),
        ({"match": "rows", "exact": True, "atol": None}, "rows, exact"),
    ],
)
def test_a_tolerance_says_how_it_matches(stated: dict[str, object], text: str) -> None:
    assert figures.tolerance(tolerance(**{"rtol": None, **stated})) == text


def test_every_report_has_the_rows_without_a_counterpart_and_both_places() -> None:
    report = matched()
    stream = io.StringIO()
    console.print_report(report, {}, Console(file=stream, width=120, markup=False, emoji=False))
    for text in (stream.getvalue(), junit.render(report), markdown.render(report)):
        plain = text.replace("\u00a0", " ").replace("&nbsp;", " ")
        assert "2 rows without a counterpart" in plain or "2 without, of 12" in plain
        assert "[2, 0] ↔ [5, 0]" in plain
        assert "row 7 of the reference has no counterpart" in plain
    assert results.parse(results.render(report)) == report


def test_the_summary_says_what_found_no_counterpart_before_anything_is_folded() -> None:
    seen = markdown.render(matched()).partition("<details>")[0]
    assert "12 rows with 11, 3 at another place, 3 without a counterpart (1 of them optional)" in seen


def test_an_output_that_was_always_empty_is_remarked_upon() -> None:
    stream = io.StringIO()
    console.print_report(matched(), {}, Console(file=stream, width=120, markup=False, emoji=False))
    note = "backbone_head / none  empty on both sides in every input set: nothing of it was compared"
    assert note in stream.getvalue()
    assert "nothing of it was compared" in markdown.render(matched())
