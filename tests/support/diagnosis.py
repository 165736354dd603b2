"""Both sides of one component call in this process, and the error budget that the reference's side gives."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import onnx
from onnx import ModelProto

from parity.artifacts import Array
from parity.records.diagnosis import Diagnosis
from parity.records.jobs import MODEL, Numerics, OnnxRuntimeOptions
from parity.records.outcomes import Diagnosed, Ran, Reply
from parity.records.requests import Diagnose, OpenSession, RunCandidate, StartCandidate
from parity.records.tensors import StageCall, TensorRecord
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
    return answered(project, alter=alter, numerics=numerics, **inputs)[1].diagnoses


def answered(
    project: Project,
    *,
    alter: Callable[[ModelProto], None] = lambda model: None,
    numerics: Numerics | None = None,
    file: ModelProto | None = None,
    **inputs: Array,
) -> tuple[Diagnose, Diagnosed]:
    """As `diagnosed`: what is asked, and all of the answer. With a `file`, nothing is exported."""
    component = project.component(**({} if file is None else {"export": None}))
    onnx.save(file or ModelProto(), component.onnx)
    project.load(component, numerics=numerics)
    (call,) = project.run(**inputs).calls
    if file is None:
        project.export()
    model = onnx.load(component.onnx)
    alter(model)
    onnx.save(model, component.onnx)
    first, second = (run_candidate(project, call, name) for name in ("first", "second"))
    names = tuple(record.name for record in first)
    request = Diagnose(
        component=MODEL, call=call, outputs=names, reference=call.outputs, candidate=first, repeated=second
    )
    return request, answer(project, request)


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
    """The diagnoses that the reference's side answers."""
    return answer(project, request).diagnoses


def answer(project: Project, request: Diagnose) -> Diagnosed:
    """What the reference's side answers, after it went through JSON as on the way between the processes."""
    sent = msgspec.json.encode(project.side.handle(request))
    found = msgspec.json.decode(sent, type=Reply)
    assert isinstance(found, Diagnosed)
    assert found.seconds > 0
    return found


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
