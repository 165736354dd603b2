"""Costs on the page: the table of all sides with its bars, and limits that are exceeded."""

from __future__ import annotations

import re

import pytest
from support import reports as made
from support.reports import replaced

from parity.records.results import SidePerformance
from parity.reports import html
from parity.reports.html import costs


def test_all_sides_and_devices_are_in_one_table() -> None:
    found = costs.costs(made.limits())
    assert found is not None
    sides = [row[0].text for row in found.table.rows]
    assert sides == ["torch@cuda:0", "onnxruntime@cuda:0", "torch@cpu", "onnxruntime@cpu"]
    assert [row[2].text for row in found.table.rows] == ["220 ms", "260 ms", "2000 ms", "2400 ms"]
    assert "On the GPU" in found.table.columns
    assert "On the GPU" not in html.render(made.green())
    assert costs.costs(made.one_fault()) is not None
    assert costs.costs(made.matched()) is None


def test_bars_are_to_one_scale_with_min_and_90_percent() -> None:
    found = costs.costs(made.limits())
    assert found is not None
    meters = [row[2].meter for row in found.table.rows]
    most = 1.3 * 2400  # the slowest 90 %
    for meter, median in zip(meters, (220, 260, 2000, 2400), strict=True):
        assert meter is not None
        assert meter.spread is not None
        assert meter.width == pytest.approx(100 * median / most)
        assert meter.spread == pytest.approx((90 * median / most, 130 * median / most))
    assert [meter.kind for meter in meters if meter] == ["reference", "candidate"] * 2


def test_what_was_not_measured_has_no_bar() -> None:
    case = made.case(
        "model",
        (made.output("y", 1e-6),),
        candidate_performance=SidePerformance(latency_ms=0.0, runs=1),
        reference_performance=SidePerformance(),
    )
    found = costs.costs(made.report((case,), 0))
    assert found is not None
    assert [row[2].text for row in found.table.rows] == ["-", "0 ms"]
    assert [row[2].meter for row in found.table.rows] == [None, costs.Meter("candidate", 0.0)]


def test_a_limit_that_is_exceeded_has_a_card_with_the_limit_as_a_line() -> None:
    (card,) = costs.exceeded(made.limits())
    assert (card.name, card.said) == ("max_latency_ratio", "latency 1.83 x the reference's")
    assert dict(card.bars) == pytest.approx({"reference": 100 * 220 / 402.6, "candidate": 100.0})
    assert card.limit == pytest.approx(100 * 1.5 * 220 / 402.6)
    page = html.render(made.limits())
    assert page.index("Beyond its limit") < page.index("All outputs")
    figure = page.partition('<figure class="limit">')[2].partition("</figure>")[0]
    assert re.findall(r'<rect class="(\w+)"', figure) == ["reference", "candidate"]


def test_a_limit_without_figures_breaks_nothing() -> None:
    bare = made.limit(ratio=None, at_least=None, reference=None, candidate=None)
    case = replaced(made.limits().cases[0], performance=(bare,))
    (card,) = costs.exceeded(made.report((case,), 1))
    assert card.bars == (("reference", 0.0), ("candidate", 0.0))
