"""ONNX files as the reference: what they answer, alone and in a pipeline, and what they say of themselves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from support import onnx_models

from parity.artifacts import read_tensor, write_tensor
from parity.records.inputs import Distribution, GeneratedInputs
from parity.records.jobs import MODEL, ComponentJob, Numerics, OnnxRuntimeOptions
from parity.records.outcomes import Diagnosed, Latency, Loaded, Materialized, NoiseFloors, Ran
from parity.records.requests import (
    Diagnose,
    ExportOnnx,
    LoadOnnxReference,
    MaterializeProvider,
    MaterializeSet,
    MeasureLatency,
    MeasureNoise,
    RunReference,
)
from parity.records.tensors import InputSet, StageCall, TensorRecord
from parity.worker.onnx_reference import OnnxReferenceSide
from parity.worker.problems import Unable

CHAIN = """\
def run(stages, inputs):
    first = stages["double"](inputs["x"])["scaled"]
    return {"end": stages["triple"](x=first + 1)["scaled"] + stages["triple"](inputs["x"])["scaled"]}
"""


@pytest.fixture(autouse=True)
def gradients_as_before() -> Iterator[None]:
    """A pipeline's numerics are settings of the whole process."""
    before = torch.is_grad_enabled()
    yield
    torch.set_grad_enabled(before)


def loaded(
    folder: Path, files: dict[str, str], candidates: dict[str, str] | None = None, pipeline: str | None = None
) -> OnnxReferenceSide:
    side = OnnxReferenceSide()
    answer = side.handle(
        LoadOnnxReference(
            components=tuple(ComponentJob(name=name, model=None, onnx=path) for name, path in files.items()),
            pipeline=pipeline,
            device="cpu",
            numerics=Numerics(optimization="disable_all", grad=False, tf32=False),
            options=OnnxRuntimeOptions(),
            base_dir=str(folder),
            candidates=candidates or files,
        )
    )
    assert isinstance(answer, Loaded)
    assert "CPUExecutionProvider" in str(answer.settings["onnxruntime.available_providers"])
    assert any(key.endswith("optimization") for key in answer.settings)
    return side


def inputs_of(folder: Path, x: np.ndarray) -> InputSet:
    return InputSet(id="0", tensors=(write_tensor(folder / "inputs", "x", x),))


def diagnosed(
    side: OnnxReferenceSide,
    call: StageCall,
    candidate: tuple[TensorRecord, ...],
    repeated: tuple[TensorRecord, ...] | str,
) -> Diagnosed:
    """What is said of the only output of a call that ran."""
    request = Diagnose(
        component=MODEL,
        call=call,
        outputs=("scaled",),
        reference=call.outputs,
        candidate=candidate,
        repeated=repeated,
    )
    found = side.handle(request)
    assert isinstance(found, Diagnosed)
    return found


def ran(side: OnnxReferenceSide, folder: Path, x: np.ndarray) -> Ran:
    request = RunReference(case="0", inputs=inputs_of(folder, x), directory=str(folder / "run"))
    answer = side.handle(request)
    assert isinstance(answer, Ran)
    return answer


X = np.array([[1, 2]], np.float32)


def test_a_model_is_one_call(tmp_path: Path) -> None:
    side = loaded(tmp_path, {MODEL: onnx_models.scale(tmp_path / "a.onnx", 2)})
    answer = ran(side, tmp_path, X)
    (call,) = answer.calls
    assert (call.component, call.index, answer.outputs) == (MODEL, 0, None)
    assert {record.name: read_tensor(record).tolist() for record in call.outputs} == {"scaled": [[2, 4]]}
    timed = side.handle(MeasureLatency(case="0", inputs=inputs_of(tmp_path, X), warmup=1, runs=3))
    assert isinstance(timed, Latency)
    assert len(timed.seconds) == 3


def test_every_call_of_a_pipeline_is_recorded(tmp_path: Path) -> None:
    (tmp_path / "chain.py").write_text(CHAIN)
    files = {
        name: onnx_models.scale(tmp_path / f"{name}.onnx", by) for name, by in (("double", 2), ("triple", 3))
    }
    answer = ran(loaded(tmp_path, files, pipeline="chain.py:run"), tmp_path, X)

    assert [(call.component, call.index) for call in answer.calls] == [
        ("double", 0),
        ("triple", 0),
        ("triple", 1),
    ]
    given, taken = answer.calls[1].inputs[0], answer.calls[1].outputs[0]
    assert read_tensor(given).tolist() == [[3, 5]]
    assert read_tensor(taken).tolist() == [[9, 15]]
    assert answer.outputs is not None
    assert read_tensor(answer.outputs[0]).tolist() == [[12, 21]]


def test_inputs_are_made_as_for_pytorch(tmp_path: Path) -> None:
    side = loaded(tmp_path, {MODEL: onnx_models.scale(tmp_path / "a.onnx", 2)})
    (tmp_path / "data.py").write_text(
        "import numpy as np\ndef samples():\n    yield {'x': np.ones((1, 2), np.float32)}\n"
    )
    provided = side.handle(
        MaterializeProvider(target="data.py:samples", samples=None, index=0, directory=str(tmp_path / "sets"))
    )
    assert isinstance(provided, Materialized)
    assert [made.id for made in provided.sets] == ["0"]
    ones = Distribution(name="x", shape=(1, 2), dtype="float32", distribution="ones")
    made = side.handle(
        MaterializeSet(
            id="s", source=GeneratedInputs(tensors=(ones,), seed=(0,)), directory=str(tmp_path / "s")
        )
    )
    assert isinstance(made, Materialized)
    assert read_tensor(made.sets[0].tensors[0]).tolist() == [[1, 1]]


def test_the_budget_of_two_graphs(tmp_path: Path) -> None:
    files = {MODEL: onnx_models.scale(tmp_path / "a.onnx", 2)}
    other = {MODEL: onnx_models.scale(tmp_path / "b.onnx", 2.5)}
    side = loaded(tmp_path, files, other)
    (call,) = ran(side, tmp_path, X).calls
    wrong = write_tensor(tmp_path / "candidate", "scaled", X * np.float32(2.5))

    found = diagnosed(side, call, candidate=(wrong,), repeated=(wrong,))

    diagnosis = found.diagnoses["scaled"]
    budget = diagnosis.budget
    assert (budget.total, budget.export_error, budget.reference_rounding) == (1.0, 1.0, 0.0)
    assert (budget.runtime_error, budget.repeatability, budget.unknown) == (0.0, 0.0, {})
    assert diagnosis.dominant_leg == "export"
    assert diagnosis.first_divergence is not None
    assert diagnosis.first_divergence.node == "scaling"
    assert (diagnosis.causes[0].tensor, diagnosis.causes[0].share) == ("factor", 1.0)
    assert "the reference's file" in diagnosis.causes[0].message


def test_a_graph_that_can_not_be_evaluated_is_unknown_with_the_reason(tmp_path: Path) -> None:
    files = {MODEL: onnx_models.scale(tmp_path / "a.onnx", 2)}
    side = loaded(tmp_path, files, {MODEL: str(tmp_path / "absent.onnx")})
    (call,) = ran(side, tmp_path, X).calls

    found = diagnosed(side, call, candidate=call.outputs, repeated="it was not run again")

    budget = found.diagnoses["scaled"].budget
    assert (budget.reference_rounding, budget.export_error, budget.runtime_error) == (0.0, None, None)
    assert "absent.onnx" in budget.unknown["export_error"]
    assert budget.unknown["repeatability"] == "it was not run again"


def test_noise_floors_of_calls_and_of_the_chain(tmp_path: Path) -> None:
    side = loaded(tmp_path, {MODEL: onnx_models.scale(tmp_path / "a.onnx", 1 / 3)})
    (call,) = ran(side, tmp_path, X).calls
    of_call = side.handle(MeasureNoise(component=MODEL, inputs=call.inputs, outputs=call.outputs))
    assert isinstance(of_call, NoiseFloors)
    floor = of_call.floors["scaled"]
    assert isinstance(floor, float)
    assert 0 <= floor < 1e-6
    of_chain = side.handle(MeasureNoise(component=None, inputs=call.inputs, outputs=call.outputs))
    assert isinstance(of_chain, NoiseFloors)
    assert "needs PyTorch stages" in str(of_chain.floors["scaled"])


def test_what_is_not_its_own_is_refused(tmp_path: Path) -> None:
    side = OnnxReferenceSide()
    call = StageCall(component=MODEL, index=0, inputs=(), outputs=())
    with pytest.raises(Unable, match="not loaded"):
        side.handle(
            MaterializeProvider(target="data.py:samples", samples=1, index=0, directory=str(tmp_path))
        )
    with pytest.raises(Unable, match="no session"):
        side.handle(MeasureNoise(component=MODEL, inputs=call.inputs, outputs=call.outputs))
    with pytest.raises(Unable, match="was sent ExportOnnx"):
        side.handle(ExportOnnx(component=MODEL, case="0"))
