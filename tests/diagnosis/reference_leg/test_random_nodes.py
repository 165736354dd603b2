"""What in an ONNX file is random or in training mode."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper
from support.architectures import ARCHITECTURES, EXPORTERS, Exporter, exported

from parity.diagnosis.reference_leg.random_nodes import active_nodes


def model(nodes: list[onnx.NodeProto], opset: int = 17, **constants: np.ndarray) -> ModelProto:
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])


def dropout(ratio: float = 0.5, mode: bool | None = True, opset: int = 17) -> ModelProto:
    inputs = ["x", "ratio"] + ([] if mode is None else ["mode"])
    node = helper.make_node("Dropout", inputs, ["y"], name="/drop/Dropout")
    return model([node], opset, ratio=np.float32(ratio).reshape(()), mode=np.array(bool(mode)))


@pytest.mark.parametrize("exporter", EXPORTERS)
@pytest.mark.parametrize("name", ["resnet", "bert", "recurrent"])
def test_sound_files_have_none(name: str, exporter: Exporter) -> None:
    assert name in ARCHITECTURES
    assert active_nodes(exported(name, exporter)) == ()


def test_an_active_dropout() -> None:
    (node,) = active_nodes(dropout())
    assert (node.node, node.op_type, node.random) == ("/drop/Dropout", "Dropout", True)
    assert node.cause.kind == "train-mode"
    assert node.cause.leg == "export"
    assert "eval()" in node.cause.remedy


@pytest.mark.parametrize("inert", [dropout(mode=False), dropout(mode=None), dropout(ratio=0.0)])
def test_an_inert_dropout(inert: ModelProto) -> None:
    assert active_nodes(inert) == ()


def test_the_mode_as_a_constant_node_and_as_an_input() -> None:
    for value, active in ((True, 1), (False, 0)):
        constant = helper.make_node("Constant", [], ["mode"], value=numpy_helper.from_array(np.array(value)))
        nodes = [constant, helper.make_node("Dropout", ["x", "", "mode"], ["y"])]
        assert len(active_nodes(model(nodes))) == active
    assert active_nodes(model([helper.make_node("Dropout", ["x", "", "training"], ["y"])]))[0].node == "y"


def test_old_opsets() -> None:
    node = helper.make_node("Dropout", ["x"], ["y"], ratio=0.5)
    assert active_nodes(model([node], 7)) == ()
    assert len(active_nodes(model([node], 6))) == 1
    assert active_nodes(model([helper.make_node("Dropout", ["x"], ["y"], is_test=1)], 6)) == ()


def test_a_batch_norm_in_training_mode() -> None:
    inputs = ["x", "scale", "bias", "mean", "var"]
    node = helper.make_node("BatchNormalization", inputs, ["y", "m", "v"], training_mode=1)
    (found,) = active_nodes(model([node]))
    assert (found.op_type, found.random) == ("BatchNormalization", False)
    assert active_nodes(model([helper.make_node("BatchNormalization", inputs, ["y"])])) == ()


def test_random_numbers_also_in_subgraphs() -> None:
    branch = helper.make_graph(
        [helper.make_node("RandomNormalLike", ["x"], ["r"], name="noise")],
        "branch",
        [],
        [helper.make_tensor_value_info("r", TensorProto.FLOAT, None)],
    )
    node = helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)
    found = active_nodes(model([node], c=np.array(True)))
    assert [each.node for each in found] == ["noise", "noise"]
    assert found[0].cause.kind == "nondeterminism"
