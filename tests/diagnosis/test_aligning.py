"""Evaluations of matched outputs in one order: legs as they are without any permutation, or unknown."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parity.artifacts import Array
from parity.diagnosis.aligning import aligned, graph_order
from parity.diagnosis.budget import Results, diagnose
from parity.records.matching import MatchGroup, MatchMember

BOXES = np.arange(24, dtype=np.float64).reshape(6, 4) * 10
SCORES = np.linspace(0.9, 0.1, 6)
GROUP = MatchGroup(
    kind="rows",
    members=(
        MatchMember(output="boxes", atol=0.5, rtol=0.0),
        MatchMember(output="scores", atol=0.01, rtol=0.0),
    ),
)
ORDERS = st.permutations(range(6)).map(list)


def results(order: list[int], order64: list[int], **shifts: float) -> dict[str, Results]:
    """PyTorch keeps an order, in float64 it has another, ONNX a third; boxes[0, 0] is off by `shifts`."""

    def boxes(name: str, at: list[int], dtype: Any = np.float32) -> Array:
        values = BOXES.copy()
        values[0, 0] += shifts.get(name, 0.0)
        return values[at].astype(dtype)

    def of(which: str, values: Any) -> Results:
        make = boxes if which == "boxes" else lambda _, at, dtype=np.float32: values[at].astype(dtype)
        return Results(
            reference=make("reference", list(range(6))),
            candidate=make("candidate", order),
            reference64=make("reference64", order64, np.float64),
            candidate64=make("candidate64", order, np.float64),
            reference_again=make("reference", list(range(6))),
            candidate_again=make("candidate", order[::-1]),
            strict=None,
        )

    return {"boxes": of("boxes", BOXES), "scores": of("scores", SCORES)}


@given(order=ORDERS, order64=ORDERS)
@settings(max_examples=60, deadline=None)
def test_no_permutation_is_an_error(order: list[int], order64: list[int]) -> None:
    for each in aligned(results(order, order64), (GROUP,)).values():
        budget = diagnose(each).budget
        assert budget.unknown == {}
        legs = (budget.total, budget.reference_rounding, budget.export_error, budget.runtime_error)
        assert max(legs) < 1e-6  # type: ignore[type-var]
        assert budget.repeatability == 0.0


@given(order=ORDERS, order64=ORDERS, shift=st.sampled_from([0.25, 4.0]))
@settings(max_examples=60, deadline=None)
def test_a_fault_is_in_its_leg_whatever_the_order(order: list[int], order64: list[int], shift: float) -> None:
    found = aligned(results(order, order64, candidate=shift, candidate64=shift), (GROUP,))
    diagnosis = diagnose(found["boxes"])
    assert diagnosis.dominant_leg == "export"
    assert diagnosis.budget.total == pytest.approx(shift)
    assert diagnosis.budget.export_error == pytest.approx(shift)
    assert diagnose(found["scores"]).budget.total == pytest.approx(0.0)


def test_without_matching_the_order_would_be_the_error() -> None:
    assert diagnose(results([5, 4, 3, 2, 1, 0], list(range(6)))["boxes"]).budget.total == 200.0


def test_rows_that_might_be_others_make_the_legs_unknown() -> None:
    found = results(list(range(6)), list(range(6)))
    wild = found["boxes"].candidate + np.float32(22.0)
    found["boxes"] = replace(found["boxes"], candidate=wild, candidate64=wild.astype(np.float64))
    budget = diagnose(aligned(found, (GROUP,))["boxes"]).budget
    assert budget.total is not None
    assert (budget.export_error, budget.runtime_error) == (None, None)
    assert "might be several others" in budget.unknown["export_error"]
    assert budget.reference_rounding == 0.0


def test_another_count_of_rows_leaves_the_export_unknown_and_the_runtime_known() -> None:
    whole = results([5, 4, 3, 2, 1, 0], list(range(6)))
    found = {
        name: replace(
            each,
            candidate=each.candidate[:4],
            candidate64=each.candidate64[3::-1],  # type: ignore[index]
            candidate_again=each.candidate_again[2:],  # type: ignore[index]
        )
        for name, each in whole.items()
    }
    budget = diagnose(aligned(found, (GROUP,))["boxes"]).budget
    assert (budget.total, budget.export_error) == (None, None)
    assert budget.runtime_error == 0.0
    assert budget.reference_rounding == 0.0


def test_what_can_not_be_evaluated_stays_unknown_with_its_reason() -> None:
    found = results([1, 0, 2, 3, 4, 5], list(range(6)))
    found["scores"] = replace(found["scores"], candidate64="a custom operator")
    for each in aligned(found, (GROUP,)).values():
        assert diagnose(each).budget.unknown["export_error"] == "a custom operator"


def test_the_module_in_the_order_of_the_graph() -> None:
    order = [3, 1, 2, 0, 5, 4]
    ordered = graph_order(results(order, [5, 4, 3, 2, 1, 0]), (GROUP,))
    assert np.array_equal(ordered["boxes"], BOXES[order])  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["sorted", "argmax"])
def test_other_kinds(kind: Any) -> None:
    group = MatchGroup(kind=kind, members=(MatchMember(output="scores", atol=0.01, rtol=0.0),))
    found = results([5, 4, 3, 2, 1, 0], list(range(6)))
    total = diagnose(aligned(found, (group,))["scores"]).budget.total
    assert total == pytest.approx(0.0 if kind == "sorted" else 0.8)
