"""Comparisons on GPUs of their own run side by side, and all others one after the other."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from support.projects import Project

from parity.comparing import finish_together, waves
from parity.planning import plan
from parity.records.plan import SuitePlan
from parity.spec.loading import load_spec


def planned(root: Path, *devices: str, **changes: Any) -> SuitePlan:
    path = Project(root).write_spec(devices=list(devices), **changes)
    return plan(load_spec(str(path)))


def grouped(suite: SuitePlan) -> list[list[str]]:
    return [[comparison.label for comparison in wave] for wave in waves(suite)]


def test_gpus_run_side_by_side_and_the_cpu_alone(tmp_path: Path) -> None:
    suite = planned(tmp_path, "cuda:0", "cuda:1", "cpu", "cuda:2")
    assert grouped(suite) == [["cuda:0", "cuda:1"], ["cpu"], ["cuda:2"]]


def test_what_shares_a_gpu_waits(tmp_path: Path) -> None:
    suite = planned(tmp_path, "cuda:0", "cuda:1")
    first, second = suite.comparisons
    crossed = type(first)(label="crossed", reference=first.reference, candidate=second.candidate)
    suite = replace(suite, comparisons=(first, crossed, second))
    assert grouped(suite) == [["cuda:0"], ["crossed"], ["cuda:1"]]


def test_what_the_gate_exports_has_one_file_to_write(tmp_path: Path) -> None:
    onnx = {"path": "exported.onnx", "export": {"exporter": "torchscript"}}
    assert grouped(planned(tmp_path, "cuda:0", "cuda:1", onnx=onnx)) == [["cuda:0"], ["cuda:1"]]


def test_two_absent_gpus_are_two_cases_in_their_order(tmp_path: Path) -> None:
    done = Project(tmp_path).run(devices=["cuda:7", "cuda:6"])

    assert done.status == 3
    assert [case["device"] for case in done.results["cases"]] == ["cuda:7", "cuda:6"]
    assert all(case["problem"]["kind"] == "device" for case in done.results["cases"])


class _Comparison:
    """What `finish_together` needs of one; it ends when it is let go, or is abandoned."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.abandoned = threading.Event()
        self._error = error

    def finish(self) -> None:
        if self._error:
            raise self._error
        assert self.abandoned.wait(30)

    def abandon(self) -> None:
        self.abandoned.set()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("a defect")])
def test_one_that_raises_ends_the_others(error: BaseException) -> None:
    others = [_Comparison(), _Comparison()]
    with pytest.raises(type(error)):
        finish_together([_Comparison(error), *others])  # type: ignore[list-item]
    assert all(other.abandoned.is_set() for other in others)
