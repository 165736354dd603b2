"""Which nodes are run alone, and what is said of the others."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from onnx import ModelProto, TensorProto, helper, numpy_helper
from support.runtime import diagnosed_runtime, sound_backend

from parity.artifacts import Array
from parity.diagnosis.runtime_leg import How, Run
from parity.diagnosis.runtime_leg.backend import PRODUCTION
from parity.diagnosis.runtime_leg.diagnosing import random_nodes
from parity.diagnosis.runtime_leg.effects import effect
from parity.diagnosis.runtime_leg.node_pass import choose
from parity.records.jobs import Numerics, OnnxRuntimeOptions
from parity.worker.candidate_diagnosis import OrtBackend
from parity.worker.problems import Unable

FLOAT = TensorProto.FLOAT
HAS_CUDA = "CUDAExecutionProvider" in onnxruntime.get_available_providers() and torch.cuda.is_available()


def chain(length: int, kinds: Mapping[int, str]) -> ModelProto:
    """Relus one after the other, some nodes of other kinds; from x to y, float32 [2, 2]."""
    names = ["x", *(f"t{index}" for index in range(1, length)), "y"]
    nodes = [
        helper.make_node(
            kinds.get(index, "Relu"),
            [names[index], "w"] if kinds.get(index) == "MatMul" else [names[index]],
            [names[index + 1]],
            name=f"n{index}",
        )
        for index in range(length)
    ]
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", FLOAT, [2, 2])],
        [helper.make_tensor_value_info("y", FLOAT, [2, 2])],
        [numpy_helper.from_array(np.eye(2, dtype=np.float32), "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def test_all_nodes_of_a_graph_that_is_not_large_are_looked_at() -> None:
    assert choose(chain(2000, {})) is None


def test_of_a_large_graph_the_products_come_first() -> None:
    chosen = choose(chain(2500, {2400: "MatMul"}))
    assert chosen is not None
    assert len(chosen) == 2000
    assert {"t2400", "t2401", "t2402"} <= chosen  # the product and what is around it
    assert "t2300" not in chosen


class Wavering(OrtBackend):
    """Gives another result in every run."""

    def __init__(self, folder: Path) -> None:
        super().__init__("cpu", Numerics(), OnnxRuntimeOptions(optimization="disable_all"), folder)
        self._runs = 0

    def open(self, model: str | ModelProto, how: How = PRODUCTION) -> Run:
        run = super().open(model, how)

        def wavers(feeds: Mapping[str, Array]) -> Mapping[str, Array]:
            self._runs += 1
            return {name: array * np.float32(1 + 1e-3 * self._runs) for name, array in run(feeds).items()}

        return wavers


def test_a_node_that_does_not_repeat_is_nondeterministic(tmp_path: Path) -> None:
    feeds = {"x": np.ones((2, 2), np.float32)}
    finding = diagnosed_runtime(chain(1, {}), feeds, Wavering(tmp_path), tmp_path)["y"]
    (cause,) = finding.causes
    assert (cause.kind, cause.node) == ("nondeterminism", "n0")


class Incapable(OrtBackend):
    """Can't run a node alone."""

    def open(self, model: str | ModelProto, how: How = PRODUCTION) -> Run:
        if isinstance(model, ModelProto):
            raise Unable("onnx", "no")
        return super().open(model, how)


def test_what_was_not_run_alone_is_said(tmp_path: Path) -> None:
    backend = Incapable("cpu", Numerics(), OnnxRuntimeOptions(), tmp_path)
    feeds = {"x": np.ones((2, 2), np.float32)}
    finding = diagnosed_runtime(chain(2, {1: "Exp"}), feeds, backend, tmp_path)["y"]
    assert len(finding.notes) == 2
    assert all("were not run alone" in note and note.endswith(": no") for note in finding.notes)


def test_the_effect_of_local_errors() -> None:
    exact = np.zeros(4)
    found = np.array([1.0, -1.0, 1.0, -1.0], np.float32)
    assert effect(found, exact, found.astype(np.float64)).share == 1.0
    assert effect(found, exact, exact).share == 0.0
    opposite = effect(found, exact, -found.astype(np.float64))
    assert (opposite.share, opposite.size) == (0.0, 1.0)
    assert effect(found, exact, np.full(4, np.nan)).share == 0.0


def test_providers_of_nodes_are_read(tmp_path: Path) -> None:
    import onnx

    path = str(tmp_path / "file.onnx")
    onnx.save(chain(2, {0: "MatMul"}), path)
    assert sound_backend(tmp_path).on_other_providers(path) == {}
    azure = OnnxRuntimeOptions(provider="AzureExecutionProvider")  # listed in the CPU build, without kernels
    elsewhere = OrtBackend("cpu", Numerics(), azure, tmp_path).on_other_providers(path)
    assert set(elsewhere.values()) == {"CPUExecutionProvider"}


@pytest.mark.gpu
@pytest.mark.skipif(not HAS_CUDA, reason="needs a CUDA device and onnxruntime-gpu")
def test_tf32_of_the_device_is_named(tmp_path: Path) -> None:
    weight = torch.randn(256, 256, generator=torch.Generator().manual_seed(0)).numpy()
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"], name="product")],
        "graph",
        [helper.make_tensor_value_info("x", FLOAT, [256, 256])],
        [helper.make_tensor_value_info("y", FLOAT, [256, 256])],
        [numpy_helper.from_array(weight, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    feeds = {"x": np.random.default_rng(0).normal(size=(256, 256)).astype(np.float32)}
    backend = OrtBackend("cuda:0", Numerics(tf32=True), OnnxRuntimeOptions(), tmp_path)
    finding = diagnosed_runtime(model, feeds, backend, tmp_path)["y"]
    assert [cause.kind for cause in finding.causes] == ["tf32"]
    strict = OrtBackend("cuda:0", Numerics(tf32=False), OnnxRuntimeOptions(), tmp_path)
    finding = diagnosed_runtime(model, feeds, strict, tmp_path)["y"]
    assert [cause.kind for cause in finding.causes] == ["rounding"]


@pytest.mark.gpu
@pytest.mark.skipif(not HAS_CUDA, reason="needs a CUDA device and onnxruntime-gpu")
def test_nodes_without_a_kernel_of_the_device_are_noted(tmp_path: Path) -> None:
    backend = OrtBackend("cuda:0", Numerics(), OnnxRuntimeOptions(), tmp_path)
    feeds = {"x": np.ones((2, 2), np.float32)}
    finding = diagnosed_runtime(chain(2, {0: "Mish"}), feeds, backend, tmp_path)["y"]
    elsewhere = backend.on_other_providers(str(tmp_path / "production.onnx"))
    assert set(elsewhere.values()) <= {"CPUExecutionProvider"}
    assert any("CPUExecutionProvider instead" in note for note in finding.notes) == bool(elsewhere)


@pytest.mark.parametrize("trains", [True, False])
def test_a_dropout_is_random_while_it_trains(trains: bool) -> None:
    mode = helper.make_tensor("value", TensorProto.BOOL, [], [trains])
    nodes = [
        helper.make_node("Constant", [], ["mode"], value=mode),
        helper.make_node("Dropout", ["x", "", "mode"], ["y"], name="drop"),
    ]
    ends = [[helper.make_tensor_value_info(name, FLOAT, [2])] for name in "xy"]
    model = helper.make_model(helper.make_graph(nodes, "graph", *ends))
    assert [node.name for node in random_nodes(model)] == (["drop"] if trains else [])


@pytest.mark.parametrize("kind", [TensorProto.FLOAT16, TensorProto.DOUBLE])
def test_a_model_of_another_width_is_judged_by_its_own_precision(kind: int, tmp_path: Path) -> None:
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    generator = np.random.default_rng(0)
    weight = numpy_helper.from_array((generator.normal(size=(64, 64)) / 8).astype(dtype), "w")
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["p"]),
        helper.make_node("Softmax", ["p"], ["s"]),
        helper.make_node("MatMul", ["s", "w"], ["q"]),
        helper.make_node("Tanh", ["q"], ["y"]),
    ]
    ends = [[helper.make_tensor_value_info(name, kind, [8, 64])] for name in "xy"]
    graph = helper.make_graph(nodes, "graph", *ends, [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    feeds = {"x": generator.normal(size=(8, 64)).astype(dtype)}
    finding = diagnosed_runtime(model, feeds, sound_backend(tmp_path), tmp_path)["y"]
    assert {cause.kind for cause in finding.causes} <= {"rounding"}
    assert finding.notes == ()
