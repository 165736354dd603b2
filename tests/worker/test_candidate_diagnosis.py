"""The runtime leg through the candidate's worker: the request, the answer, and what a user's settings do."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from parity.artifacts import write_tensor
from parity.records.jobs import MODEL, ComponentJob, ModelJob, Numerics, OnnxRuntimeOptions
from parity.records.outcomes import DiagnosedRuntime, Ran, Reply
from parity.records.requests import (
    CandidateRequest,
    DiagnoseRuntime,
    OpenSession,
    RunCandidate,
    StartCandidate,
)
from parity.records.tensors import InputSet, StageCall
from parity.worker.candidate import CandidateSide
from parity.worker.candidate_diagnosis import OrtBackend
from parity.worker.problems import Unable


def padded_pool() -> ModelProto:
    """Zero padding before a max pool, which ONNX Runtime merges into one that pads with -infinity."""
    nodes = [
        helper.make_node("Neg", ["image"], ["negative"]),
        helper.make_node("Pad", ["negative", "pads"], ["padded"], name="pad"),
        helper.make_node("MaxPool", ["padded"], ["pooled"], name="pool", kernel_shape=[3, 3]),
    ]
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 1, 4, 4])],
        [helper.make_tensor_value_info("pooled", TensorProto.FLOAT, [1, 1, 4, 4])],
        [numpy_helper.from_array(np.array([0, 0, 1, 1, 0, 0, 1, 1]), "pads")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def side_on(folder: Path, options: OnnxRuntimeOptions) -> CandidateSide:
    path = folder / "model.onnx"
    onnx.save(padded_pool(), path)
    component = ComponentJob(name=MODEL, model=ModelJob(loader="python", target="unused"), onnx=str(path))
    side = CandidateSide()
    side.handle(
        StartCandidate(
            components=(component,),
            pipeline=None,
            device="cpu",
            numerics=Numerics(),
            options=options,
            base_dir=str(folder),
        )
    )
    side.handle(OpenSession(component=MODEL))
    return side


def ask(side: CandidateSide, folder: Path) -> DiagnosedRuntime:
    """The answer, after both it and the request went through JSON as on the way between the processes."""
    image = np.random.default_rng(0).uniform(1, 2, (1, 1, 4, 4)).astype(np.float32)
    record = write_tensor(folder / "inputs", "x", image)  # the reference calls its input otherwise
    call = StageCall(component=MODEL, index=0, inputs=(record,), outputs=())
    inputs = InputSet(id="0", tensors=(record,))
    ran = side.handle(RunCandidate(case="0", inputs=inputs, calls=(call,), directory=str(folder / "run")))
    assert isinstance(ran, Ran)
    request = DiagnoseRuntime(component=MODEL, call=call, outputs=("pooled",), candidate=ran.calls[0].outputs)
    sent = msgspec.json.decode(msgspec.json.encode(request), type=CandidateRequest)
    answer = msgspec.json.decode(msgspec.json.encode(side.handle(sent)), type=Reply)
    assert isinstance(answer, DiagnosedRuntime)
    return answer


def test_the_worker_names_the_optimizer(tmp_path: Path) -> None:
    answer = ask(side_on(tmp_path, OnnxRuntimeOptions()), tmp_path)
    assert answer.seconds > 0
    finding = answer.findings["pooled"]
    assert [cause.kind for cause in finding.causes] == ["graph-optimizer"]
    assert finding.first_divergence is not None
    assert finding.first_divergence.node == "pool"


def test_an_exact_result_has_no_cause(tmp_path: Path) -> None:
    answer = ask(side_on(tmp_path, OnnxRuntimeOptions(optimization="disable_all")), tmp_path)
    assert answer.findings["pooled"].causes == ()
    assert answer.findings["pooled"].first_divergence is None


def test_nothing_is_left_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    ask(side_on(tmp_path, OnnxRuntimeOptions()), tmp_path)
    assert list((tmp_path / "temporary").iterdir()) == []


def test_the_users_disabled_optimizers_stay_disabled(tmp_path: Path) -> None:
    from parity.diagnosis.runtime_leg import How

    path = tmp_path / "model.onnx"
    onnx.save(padded_pool(), path)
    config = {"optimization.disable_specified_optimizers": "Pad_Fusion"}
    backend = OrtBackend("cpu", Numerics(), OnnxRuntimeOptions(session_config=config), tmp_path)
    for how in (How(), How(disabled=frozenset({"ConstantFolding"}))):
        kinds = [node.op_type for node in backend.optimized(str(path), how).graph.node]
        assert "Pad" in kinds


def test_a_component_without_a_session_is_refused(tmp_path: Path) -> None:
    side = side_on(tmp_path, OnnxRuntimeOptions())
    call = StageCall(component="other", index=0, inputs=(), outputs=())
    with pytest.raises(Unable, match="no session"):
        side.handle(DiagnoseRuntime(component="other", call=call, outputs=(), candidate=()))
