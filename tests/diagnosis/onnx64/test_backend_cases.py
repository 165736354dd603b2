"""ONNX's own backend tests: nobody here wrote them. Each passes, or is known by name and reason not to."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from support.backend_cases import KINDS, KNOWN, Result, markdown, run_all

DOCUMENT = Path(__file__).parents[3] / "docs" / "float64.md"


@pytest.fixture(scope="module")
def results() -> list[Result]:
    return run_all()


def test_every_kind_of_test_was_run(results: list[Result]) -> None:
    counts = {kind: sum(result.case.name.startswith(f"{kind}/") for result in results) for kind in KINDS}
    assert counts["node"] > 1500
    assert min(counts.values()) > 20


def test_nothing_fails_that_is_not_known_to(results: list[Result]) -> None:
    assert {r.case.name: r.problem for r in results if r.problem and r.case.known is None} == {}


def test_what_is_known_to_fail_still_fails(results: list[Result]) -> None:
    assert [
        r.case.name for r in results if not r.problem and r.case.known is not None and r.case.enforced
    ] == []


def test_every_reason_is_needed(results: list[Result]) -> None:
    assert {known.pattern for known in KNOWN} == {
        r.case.known.pattern for r in results if r.case.known is not None
    }


def test_known_differences_are_as_small_as_their_reason_says(results: list[Result]) -> None:
    loosened = [r.case for r in results if r.case.known is not None and r.case.known.loosened is not None]
    assert len(loosened) > 10
    assert {
        case.name: case.problem(allowed=case.known) for case in loosened if case.problem(allowed=case.known)
    } == {}


def test_random_operators_are_unknown_and_say_so(results: list[Result]) -> None:
    random = [r for r in results if r.case.known is not None and r.case.known.reason.startswith("random")]
    assert len(random) > 5
    assert all("can't be evaluated: random" in result.problem for result in random)


def test_the_document_has_these_numbers(results: list[Result]) -> None:
    if f"onnx {onnx.__version__}:" not in DOCUMENT.read_text():
        pytest.skip("the document is about another version of onnx, which has other tests")
    assert markdown(results) in DOCUMENT.read_text(), "run `python benchmarks/evaluator64.py --write`"
