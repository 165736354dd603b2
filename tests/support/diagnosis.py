"""Both sides of one component call in this process, and the error budget that the reference's side gives."""

from __future__ import annotations

from collections.abc import Callable

import onnx
from onnx import ModelProto

from parity.artifacts import Array
from parity.records.diagnosis import Diagnosis
from parity.records.jobs import (
    MODEL,
    Diagnose,
    Numerics,
    OnnxRuntimeOptions,
    OpenSession,
    RunCandidate,
    StageCall,
    StartCandidate,
)
from parity.records.outcomes import Diagnosed, Ran
from parity.records.tensors import TensorRecord
from parity.worker.candidate import CandidateSide
from support.reference import Project


def diagnosed(
    project: Project,
    *,
    alter: Callable[[ModelProto], None] = lambda model: None,
    numerics: Numerics | None = None,
    **inputs: Array,
) -> dict[str, Diagnosis]:
    """Loads the project's model, exports it, alters the file, runs both sides, and asks for the budget."""
    project.load(numerics=numerics)
    (call,) = project.run(**inputs).calls
    path = project.export().path
    model = onnx.load(path)
    alter(model)
    onnx.save(model, path)
    first, second = (run_candidate(project, call, name) for name in ("first", "second"))
    names = tuple(record.name for record in first)
    request = Diagnose(
        component=MODEL, call=call, outputs=names, reference=call.outputs, candidate=first, repeated=second
    )
    return ask(project, request)


def diagnosed_without_runtime(project: Project, model: ModelProto, **inputs: Array) -> dict[str, Diagnosis]:
    """The same for a file that ONNX Runtime can't run: the reference's own outputs stand for its outputs."""
    component = project.component(export=None)
    onnx.save(model, component.onnx)
    project.load(component)
    (call,) = project.run(**inputs).calls
    names = tuple(value.name for value in model.graph.output)
    request = Diagnose(
        component=MODEL,
        call=call,
        outputs=names,
        reference=call.outputs,
        candidate=call.outputs,
        repeated="the candidate did not run again",
    )
    return ask(project, request)


def ask(project: Project, request: Diagnose) -> dict[str, Diagnosis]:
    """What the reference's side answers."""
    answer = project.side.handle(request)
    assert isinstance(answer, Diagnosed)
    assert answer.seconds > 0
    return answer.diagnoses


def run_candidate(project: Project, call: StageCall, name: str) -> tuple[TensorRecord, ...]:
    """The outputs of ONNX Runtime on the inputs of the reference's call."""
    side = CandidateSide()
    options = OnnxRuntimeOptions(optimization="disable_all")
    side.handle(
        StartCandidate(
            components=(project.component(),),
            pipeline=None,
            device="cpu",
            numerics=Numerics(),
            options=options,
            base_dir=str(project.root),
        )
    )
    side.handle(OpenSession(component=MODEL))
    inputs = project.inputs({})
    directory = str(project.root / "candidate" / name)
    answer = side.handle(RunCandidate(case="0", inputs=inputs, calls=(call,), directory=directory))
    assert isinstance(answer, Ran)
    return answer.calls[0].outputs
