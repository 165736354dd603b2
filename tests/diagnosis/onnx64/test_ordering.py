"""Files whose nodes are not in order: ONNX Runtime takes them, so they are evaluated like others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import ModelProto, TensorProto, helper

from parity.diagnosis.onnx64 import Graph64
from parity.diagnosis.onnx64.ordering import order


def value(name: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, [3])


def model(*nodes: onnx.NodeProto) -> ModelProto:
    graph = helper.make_graph(nodes, "g", [value("x")], [value("y")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def operators(made: ModelProto) -> list[str]:
    return [node.op_type for node in made.graph.node]


def test_a_cast_behind_its_readers_is_evaluated(tmp_path: Path) -> None:
    """As ONNX Runtime's converter to float16 writes it."""
    made = model(
        helper.make_node("Relu", ["cast"], ["positive"]),
        helper.make_node("Cast", ["positive"], ["y"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["x"], ["cast"], to=TensorProto.FLOAT16),
    )
    path = tmp_path / "model.onnx"
    onnx.save(made, path)
    x = np.array([-1.0, 0.5, 2.0], np.float32)
    (expected,) = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, {"x": x})
    found = Graph64(path).run({"x": x}).outputs
    assert np.array_equal(found["y"], expected)


def test_what_a_branch_reads_comes_before_it() -> None:
    made = model(
        helper.make_node(
            "If",
            ["condition"],
            ["y"],
            then_branch=helper.make_graph(
                [helper.make_node("Neg", ["half"], ["then"])], "then", [], [value("then")]
            ),
            else_branch=helper.make_graph(
                [helper.make_node("Abs", ["x"], ["else"])], "else", [], [value("else")]
            ),
        ),
        helper.make_node("Ceil", ["x"], ["half"]),
        helper.make_node(
            "Constant", [], ["condition"], value=helper.make_tensor("c", TensorProto.BOOL, [], [True])
        ),
    )
    assert operators(order(made)) == ["Ceil", "Constant", "If"]
    onnx.checker.check_model(made)


@pytest.mark.parametrize("circle", [False, True])
def test_what_is_in_order_or_can_be_in_none_stays(circle: bool) -> None:
    made = model(
        helper.make_node("Abs", ["a" if circle else "x"], ["b"]),
        helper.make_node("Neg", ["b"], ["a"]),
        helper.make_node("Relu", ["a"], ["y"]),
    )
    before = made.SerializeToString()
    assert order(made).SerializeToString() == before
