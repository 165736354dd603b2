"""What a graph gives, what it does not know, and what it keeps in memory."""

from __future__ import annotations

import gc
import weakref
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto
from support.graphs import model, node, value

from parity.diagnosis.onnx64 import Graph64, Step, Unknown
from parity.worker.problems import Unable

X = np.array([[0.1, -0.2], [0.3, 0.4]], np.float32)


def test_arithmetic_is_in_float64_on_the_numbers_of_the_file() -> None:
    graph = Graph64(model([node("Mul", "x w", "y")], ["x"], ["y"], {"w": np.float32([0.1])}))
    result = graph.run({"x": X}).outputs["y"]
    assert isinstance(result, np.ndarray)
    assert result.dtype == np.float64
    np.testing.assert_array_equal(result, X.astype(np.float64) * np.float64(np.float32(0.1)))


def test_inputs_in_float64_keep_their_precision() -> None:
    graph = Graph64(model([node("Neg", "x", "y")], ["x"], ["y"]))
    np.testing.assert_array_equal(graph.run({"x": np.array([1 / 3])}).outputs["y"], [-1 / 3])


def test_integers_stay_exact_in_their_type() -> None:
    ends = [value("a", TensorProto.INT64)], [value("b", TensorProto.INT64)]
    graph = Graph64(model([node("Add", "a one", "b")], *ends, {"one": np.array(1)}))
    result = graph.run({"a": np.array([2**53])}).outputs["b"]
    assert isinstance(result, np.ndarray)
    assert result.dtype == np.int64
    assert result[0] == 2**53 + 1


def test_an_initializer_that_is_an_input_can_be_overridden() -> None:
    graph = Graph64(model([node("Add", "x w", "y")], ["x", "w"], ["y"], {"w": np.float32([1])}))
    assert graph.inputs == ("x",)
    np.testing.assert_array_equal(graph.run({"x": X[0]}).outputs["y"], X[0].astype(np.float64) + 1)
    np.testing.assert_array_equal(graph.run({"x": X[0], "w": X[0]}).outputs["y"], 2 * X[0].astype(np.float64))


@pytest.mark.parametrize(("given", "words"), [({}, "needs the inputs"), ({"x": X, "z": X}, "no inputs")])
def test_inputs_must_be_those_of_the_graph(given: dict[str, np.ndarray], words: str) -> None:
    graph = Graph64(model([node("Neg", "x", "y")], ["x"], ["y"]))
    with pytest.raises(Unable, match=words):
        graph.run(given)


def test_the_callers_arrays_are_neither_changed_nor_shared() -> None:
    graph = Graph64(
        model([node("Identity", "x", "y"), node("Identity", "w", "v")], ["x"], ["y", "v"], {"w": X})
    )
    x = X.astype(np.float64)
    x.flags.writeable = False
    first = graph.run({"x": x}).outputs
    for name in ("y", "v"):
        array = first[name]
        assert isinstance(array, np.ndarray)
        array[:] = 7
    second = graph.run({"x": x}).outputs
    np.testing.assert_array_equal(second["y"], X.astype(np.float64))
    np.testing.assert_array_equal(second["v"], X.astype(np.float64))


@pytest.mark.parametrize("op", ["Relu", "HannWindow", "Unique"])
def test_the_long_name_of_onnxs_own_domain(op: str) -> None:
    built = model([node(f"ai.onnx:{op}", "x", "y")], [value("x", TensorProto.INT64)], ["y"], opset=20)
    built.opset_import[1].version = 20
    del built.opset_import[0]
    assert not Graph64(built).run({"x": np.array(3) if op == "HannWindow" else np.array([3, 3])}).unknown


def test_a_function_that_calls_itself_is_refused() -> None:
    body = onnx.helper.make_function(
        "local", "F", ["a"], ["b"], [node("local:F", "a", "b")], [onnx.helper.make_opsetid("local", 1)]
    )
    with pytest.raises(Unable, match="prepared"):
        Graph64(model([node("local:F", "x", "y")], ["x"], ["y"], functions=[body]))


class TestUnknown:
    def test_only_what_depends_on_a_custom_operator_is_unknown(self) -> None:
        nodes = [
            node("my.ops:Fancy", "x", "f", node_name="fancy"),
            node("Relu", "f", "y"),
            node("Neg", "x", "z"),
        ]
        result = Graph64(model(nodes, ["x"], ["y", "z"])).run({"x": X})
        assert set(result.outputs) == {"z"}
        assert "node 'fancy' (my.ops:Fancy)" in result.unknown["y"]
        assert "no implementation" in result.unknown["y"]

    def test_a_failing_operator_is_named_with_its_error(self) -> None:
        nodes = [node("Reshape", "x s", "y", node_name="bad"), node("Exp", "y", "z"), node("Exp", "x", "w")]
        result = Graph64(model(nodes, ["x"], ["z", "w"], {"s": np.array([3, 3])})).run({"x": X})
        assert set(result.outputs) == {"w"}
        assert result.unknown["z"].startswith("node 'bad' (Reshape) can't be evaluated: RuntimeError")

    def test_an_operator_from_an_operator_set_that_is_not_imported(self) -> None:
        broken = model([node("Neg", "x", "y")], ["x"], ["y"])
        broken.graph.node[0].op_type = "Nagate"
        assert "(Nagate)" in Graph64(broken).run({"x": X}).unknown["y"]

    def test_a_name_that_nothing_defines(self) -> None:
        result = Graph64(model([node("Add", "x ghost", "y")], ["x"], ["y"])).run({"x": X})
        assert "'ghost'" in result.unknown["y"]

    def test_an_output_that_an_operator_does_not_give(self) -> None:
        result = Graph64(model([node("Relu", "x", "y more")], ["x"], ["y", "more"])).run({"x": X})
        assert set(result.outputs) == {"y"}
        assert "1 results for 2 outputs" in result.unknown["more"]

    def test_an_index_out_of_range_is_no_answer(self) -> None:
        nodes = [node("Gather", "x i", "y")]
        result = Graph64(model(nodes, ["x"], ["y"], {"i": np.array([5])})).run({"x": X})
        assert "out of range" in result.unknown["y"]

    def test_a_sequence_with_an_unknown_element(self) -> None:
        nodes = [
            node("my.ops:Fancy", "x", "f"),
            node("SequenceConstruct", "x f", "s"),
            node("SequenceLength", "s", "n"),
        ]
        result = Graph64(model(nodes, ["x"], [value("n", TensorProto.INT64)])).run({"x": X})
        assert "Fancy" in result.unknown["n"]


class TestObserving:
    def test_sees_every_value_with_its_node_in_order(self) -> None:
        nodes = [node("Exp", "x", "a"), node("Split", "a", "b c", num_outputs=2), node("Add", "b c", "y")]
        seen: list[Step] = []
        Graph64(model(nodes, ["x"], ["y"])).run({"x": X}, observe=seen.append)
        assert [list(step.outputs) for step in seen] == [["a"], ["b", "c"], ["y"]]
        assert [step.node.op for step in seen] == ["Exp", "Split", "Add"]
        added = seen[2]
        assert isinstance(added.outputs["y"], torch.Tensor)
        torch.testing.assert_close(added.inputs[0] + added.inputs[1], added.outputs["y"])

    def test_sees_unknown_values(self) -> None:
        seen: list[Step] = []
        Graph64(model([node("my.ops:Fancy", "x", "y")], ["x"], ["y"])).run({"x": X}, observe=seen.append)
        assert isinstance(seen[0].outputs["y"], Unknown)

    def test_an_operator_defined_by_a_function_is_one_step(self) -> None:
        seen: list[Step] = []
        nodes = [node("Attention", "x x x", "y", q_num_heads=2, kv_num_heads=2)]
        result = Graph64(model(nodes, ["x"], ["y"], opset=23)).run(
            {"x": np.ones((1, 3, 4))}, observe=seen.append
        )
        assert not result.unknown
        assert [step.node.op for step in seen] == ["Attention"]


def test_a_node_can_be_evaluated_again_on_other_inputs() -> None:
    seen: list[Step] = []
    graph = Graph64(model([node("MatMul", "x w", "y")], ["x"], ["y"], {"w": -X}))
    graph.run({"x": X}, observe=seen.append)
    step = seen[0]
    tensors = [tensor for tensor in step.inputs if isinstance(tensor, torch.Tensor)]
    (bound,) = graph.apply(step.node, [tensor.abs() for tensor in tensors])
    assert isinstance(bound, torch.Tensor)
    torch.testing.assert_close(bound, tensors[0].abs() @ tensors[1].abs())
    (failed,) = graph.apply(step.node, [tensors[0], tensors[1][:1]])
    assert isinstance(failed, Unknown)


def _chain(length: int) -> onnx.ModelProto:
    names = ["x", *(f"v{k}" for k in range(length)), "y"]
    nodes = [node("Exp" if k % 2 else "Neg", a, b) for k, (a, b) in enumerate(pairwise(names))]
    return model(nodes, ["x"], ["y"])


def test_values_are_freed_after_their_last_use() -> None:
    alive: list[weakref.ref[torch.Tensor]] = []
    counts: list[int] = []

    def observe(step: Step) -> None:
        (result,) = step.outputs.values()
        assert isinstance(result, torch.Tensor)
        alive.append(weakref.ref(result))
        counts.append(sum(tensor() is not None for tensor in alive))

    gc.disable()
    try:
        Graph64(_chain(30)).run({"x": X}, observe=observe)
    finally:
        gc.enable()
    assert max(counts) <= 3


def test_a_value_lives_until_a_subgraph_has_read_it() -> None:
    branch = onnx.helper.make_graph([node("Add", "a x", "b")], "branch", [], [value("b")])
    nodes = [
        node("Exp", "x", "a"),
        node("Neg", "a", "n"),
        node("If", "c", "y", then_branch=branch, else_branch=branch),
    ]
    graph = Graph64(model(nodes, ["x"], ["y", "n"], {"c": np.array(True)}))
    wide = X.astype(np.float64)
    np.testing.assert_allclose(graph.run({"x": X}).outputs["y"], np.exp(wide) + wide)


class TestFiles:
    def test_external_data(self, tmp_path: Path) -> None:
        weights = np.arange(4096, dtype=np.float32).reshape(2, 2048)
        saved = model([node("MatMul", "x w", "y")], ["x"], ["y"], {"w": weights})
        path = tmp_path / "model.onnx"
        onnx.save(saved, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
        np.testing.assert_array_equal(
            Graph64(path).run({"x": X}).outputs["y"], X.astype(np.float64) @ weights
        )
        (tmp_path / "weights.bin").unlink()
        with pytest.raises(Unable, match="prepared"):
            Graph64(path)

    @pytest.mark.parametrize("content", [None, b"\x00garbage\xff"])
    def test_a_file_that_is_no_model(self, tmp_path: Path, content: bytes | None) -> None:
        path = tmp_path / "model.onnx"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(Unable, match=r"model\.onnx can't be read"):
            Graph64(str(path))
