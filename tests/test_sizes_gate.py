"""Dimensions at their ends: sizes of 0, and sizes that no machine has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from support.projects import FEATURES, Project


def batches(*sizes: int) -> dict[str, Any]:
    return {"dims": {"batch": list(sizes)}, "tensors": {"x": {"shape": ["batch", FEATURES]}}}


def test_an_empty_batch_is_compared_beside_a_full_one(tmp_path: Path) -> None:
    done = Project(tmp_path).run(inputs=batches(0, 2))
    assert done.status == 0, done.stdout + done.stderr
    empty = done.case("batch=0,sample=0")["outputs"][0]
    assert (empty["shape"], empty["measurement"]["elements"]) == ([0, 3], 0)


def test_empty_outputs_alone_are_no_pass(tmp_path: Path) -> None:
    done = Project(tmp_path).run(inputs=batches(0))
    assert done.status == 3, done.stdout + done.stderr
    assert "nothing was compared: no output has an element" in done.stdout


def test_an_input_beyond_the_memory_is_named_and_the_others_are_judged(tmp_path: Path) -> None:
    done = Project(tmp_path).run(inputs=batches(2**39, 2))
    assert done.status == 3, done.stdout + done.stderr
    problem = done.case(f"batch={2**39},sample=0")["problem"]
    assert (
        "the input 'x' is float32[549755813888, 4]: 8,192.0 GiB, and this machine has" in problem["message"]
    )
    assert "smaller" in problem["fix"]
    assert done.case("batch=2,sample=0")["status"] == "passed"
