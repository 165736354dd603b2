"""Steps of a loop become one verdict for each output: that of the worst step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.arrays import tolerance

from parity.artifacts import write_tensor
from parity.judging import compare_outputs
from parity.judging.loops import judge_loop, loops_of, step_to_look_into
from parity.pairing import pair
from parity.records.jobs import ComponentJob, ModelJob
from parity.records.loops import LoopJob
from parity.records.outcomes import Ran
from parity.records.results import OutputResult
from parity.records.tensors import StageCall, ValueInfo

OUTPUTS = (ValueInfo(name="y", dtype="float32", shape=(3,)),)


def calls(folder: Path, errors: list[float]) -> tuple[StageCall, ...]:
    """Steps whose output is 1 and the error."""
    return tuple(
        StageCall(
            component="model",
            index=index,
            inputs=(),
            outputs=(write_tensor(folder / str(index), "y", np.full(3, 1 + error, np.float32)),),
        )
        for index, error in enumerate(errors)
    )


def judged(folder: Path, free: list[float], alone: list[float]) -> tuple[OutputResult, tuple[StageCall, ...]]:
    steps = calls(folder / "reference", [0.0] * 4)
    candidate = Ran(
        calls=calls(folder / "alone", alone),
        outputs=None,
        seconds=0.0,
        peak_rss_bytes=0,
        free=calls(folder / "free", free),
    )

    def judge(ours: StageCall, theirs: StageCall | None) -> tuple[OutputResult, ...]:
        pairs = pair(OUTPUTS, ours.outputs, theirs.outputs if theirs else (), {})
        return compare_outputs(pairs, (tolerance(atol=0.1),), "parity.yml")

    (output,) = judge_loop(steps, candidate, judge)
    return output, steps


def test_the_worst_step_stands_for_the_output_and_all_are_kept(tmp_path: Path) -> None:
    output, steps = judged(tmp_path, [0.0, 0.05, 0.5, 0.2], [0.0, 0.05, 0.06, 0.01])
    assert (output.status, output.step) == ("failed", 3)
    assert output.max_abs == pytest.approx(0.5)
    assert [step.status for step in output.steps] == ["passed", "passed", "failed", "failed"]
    assert [step.alone_status for step in output.steps] == ["passed"] * 4
    assert [step.alone_max_abs for step in output.steps] == pytest.approx([0.0, 0.05, 0.06, 0.01], abs=1e-6)
    assert step_to_look_into([output], steps) is steps[2]


def test_what_no_step_exceeds_is_within_tolerance(tmp_path: Path) -> None:
    output, _ = judged(tmp_path, [0.0, 0.01, 0.02, 0.03], [0.2] * 4)
    assert (output.status, output.step) == ("passed", 4)  # a step alone is not what ships
    assert {step.alone_status for step in output.steps} == {"failed"}


def test_a_step_that_the_candidate_did_not_run_has_failed(tmp_path: Path) -> None:
    output, _ = judged(tmp_path, [0.0, 0.0, 0.0], [0.0] * 4)
    assert (output.status, output.step) == ("failed", 4)
    assert output.problem.startswith("step 4: missing in the candidate")


def test_a_step_that_is_no_number_is_the_worst(tmp_path: Path) -> None:
    output, steps = judged(tmp_path, [0.0, 9.0, np.nan, 0.0], [0.0, 0.01, np.nan, 0.0])
    assert (output.status, output.step) == ("failed", 3)
    assert step_to_look_into([output], steps) is steps[2]


def test_each_loop_of_a_component_is_a_subject(tmp_path: Path) -> None:
    model = ModelJob(loader="python", target="unused")
    loop = LoopJob(steps=2, state={"y": "x"})
    component = ComponentJob(name="model", model=model, onnx="unused", loop=loop)
    reference = Ran(calls=calls(tmp_path, [0.0] * 4), outputs=None, seconds=0.0, peak_rss_bytes=0)
    found = loops_of(component, reference)
    assert [(subject, [step.index for step in steps]) for subject, steps in found] == [
        ("model", [0, 1]),
        ("model#2", [2, 3]),
    ]
