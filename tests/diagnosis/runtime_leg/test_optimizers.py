"""Faults that only exist with graph optimization: two of ONNX Runtime's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper
from support.architectures import build, exported
from support.runtime import diagnosed_runtime, sound_backend

from parity.artifacts import Array
from parity.diagnosis.runtime_leg.optimizers import OPTIMIZERS, Trials, find_optimizer


def padded_pool() -> ModelProto:
    """Zero padding before a max pool. ONNX Runtime merges the two, but a max pool pads with -infinity."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="conv", pads=[1, 1, 1, 1]),
        helper.make_node("Abs", ["c"], ["size"], name="abs"),
        helper.make_node("Neg", ["size"], ["negative"], name="neg"),
        helper.make_node("Pad", ["negative", "pads", "zero"], ["padded"], name="pad"),
        helper.make_node("MaxPool", ["padded"], ["pooled"], name="pool", kernel_shape=[3, 3]),
        helper.make_node("Conv", ["pooled", "w"], ["y"], name="last"),
    ]
    held = {
        "w": np.random.default_rng(0).normal(size=(3, 3, 3, 3)).astype(np.float32),
        "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1]),
        "zero": np.float32(0),
    }
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3, 6, 6])],
        [numpy_helper.from_array(array, name) for name, array in held.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def image() -> dict[str, Array]:
    return {"x": np.random.default_rng(1).normal(size=(1, 3, 8, 8)).astype(np.float32)}


def test_the_fusion_of_a_padding_into_a_max_pool_is_named(tmp_path: Path) -> None:
    finding = diagnosed_runtime(padded_pool(), image(), sound_backend(tmp_path), tmp_path)["y"]
    (cause,) = finding.causes
    assert (cause.kind, cause.leg, cause.node) == ("graph-optimizer", "runtime", "pool")
    assert "Pad_Fusion turns Pad + MaxPool into MaxPool" in cause.message
    assert 'optimization.disable_specified_optimizers: "Pad_Fusion"' in cause.remedy
    assert cause.share is not None
    assert cause.share > 0.99
    first = finding.first_divergence
    assert first is not None
    assert (first.node, first.op_type, first.output) == ("pool", "MaxPool", "pooled")
    assert first.expected is not None
    assert first.expected.maximum == 0.0  # the padding
    assert first.found is not None
    assert first.found.maximum < 0.0


def test_the_remedy_mends_it(tmp_path: Path) -> None:
    backend = sound_backend(tmp_path, disable_specified_optimizers="Pad_Fusion")
    finding = diagnosed_runtime(padded_pool(), image(), backend, tmp_path)["y"]
    assert [cause.kind for cause in finding.causes] == ["rounding"]


def test_without_optimization_no_optimizer_is_asked(tmp_path: Path) -> None:
    backend = sound_backend(tmp_path, "disable_all")
    finding = diagnosed_runtime(padded_pool(), image(), backend, tmp_path)["y"]
    assert [cause.kind for cause in finding.causes] == ["rounding"]


def test_an_approximation_that_was_switched_on_is_named(tmp_path: Path) -> None:
    model, net = exported("bert", "torchscript"), build("bert")
    feeds = {
        value.name: tensor.numpy()
        for value, tensor in zip(model.graph.input, net.example_inputs(1), strict=True)
    }
    backend = sound_backend(tmp_path, enable_gelu_approximation="1")
    finding = diagnosed_runtime(model, feeds, backend, tmp_path)["hidden"]
    (cause,) = finding.causes
    assert cause.kind == "graph-optimizer"
    assert "GeluApproximation turns Gelu into FastGelu" in cause.message
    assert "enable_gelu_approximation" in cause.remedy
    assert finding.first_divergence is not None
    # The file has no Gelu: the last of the nodes that became one stands for them.
    assert finding.first_divergence.node in {node.name for node in model.graph.node}
    assert finding.first_divergence.op_type == "Mul"


def test_the_search_opens_few_sessions(tmp_path: Path) -> None:
    import onnx

    path = str(tmp_path / "file.onnx")
    onnx.save(padded_pool(), path)
    backend = sound_backend(tmp_path)
    exact = {"y": sound_backend(tmp_path, "disable_all").open(path)(image())["y"].astype(np.float64)}
    trials = Trials(backend, path, image(), exact)
    fault = find_optimizer(trials, "y", backend.open(path)(image())["y"])
    assert fault is not None
    assert fault.names == ("Pad_Fusion",)
    assert fault.level == "basic"
    assert trials.count <= 30


@pytest.mark.parametrize("error", [0.0, 1e-7])
def test_what_rounding_explains_is_no_optimizers_fault(error: float, tmp_path: Path) -> None:
    import onnx

    path = str(tmp_path / "file.onnx")
    onnx.save(padded_pool(), path)
    backend = sound_backend(tmp_path, disable_specified_optimizers="Pad_Fusion")
    found = backend.open(path)(image())["y"]
    exact = {"y": found.astype(np.float64) * (1 + error)}
    assert find_optimizer(Trials(backend, path, image(), exact), "y", found) is None


def test_no_optimizer_is_listed_twice() -> None:
    assert len(set(OPTIMIZERS)) == len(OPTIMIZERS)
