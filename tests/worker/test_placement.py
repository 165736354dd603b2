"""Who runs each node, and what crosses between providers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper
from support import onnx_models

from parity.records.jobs import Numerics, OnnxRuntimeOptions
from parity.records.placement import Crossing, Crossings, Misplaced
from parity.worker.backends.onnxruntime import OnnxRuntime
from parity.worker.placement import Key, assigned_nodes, crossings_of, placement_of

CPU, AZURE, CUDA = "CPUExecutionProvider", "AzureExecutionProvider", "CUDAExecutionProvider"
HAS_CUDA = CUDA in onnxruntime.get_available_providers() and torch.cuda.is_available()


@dataclass
class Node:
    name: str
    op_type: str
    domain: str = ""


@dataclass
class Part:
    """A part of a graph as `get_provider_graph_assignment_info` gives it."""

    ep_name: str
    nodes: list[Node]

    def get_nodes(self) -> list[Node]:
        return self.nodes


@dataclass
class Recorded:
    """A session on a machine with a GPU: what it recorded, and nothing else."""

    parts: list[Part]

    def get_provider_graph_assignment_info(self) -> list[Part]:
        return self.parts


def exp_in_a_branch() -> onnx.ModelProto:
    """``y = exp(x)``, in both branches of an If on `c`."""
    body = helper.make_graph(
        [helper.make_node("Exp", ["x"], ["inner"], name="exp")], "body", [], [onnx_models.value("inner")]
    )
    return onnx_models.model(
        [helper.make_node("If", ["c"], ["y"], name="if", then_branch=body, else_branch=body)],
        [onnx_models.value("x", shape=[2]), onnx_models.value("c", TensorProto.BOOL, [])],
        [onnx_models.value("y")],
    )


def chain(*operators: str, shape: list[int | str] | None = None) -> onnx.ModelProto:
    """x -> operator -> ... -> y, each node named by its place: n0, n1, ..."""
    names = ["x", *(f"t{index}" for index in range(len(operators) - 1)), "y"]
    nodes = [
        helper.make_node(operator, [names[index]], [names[index + 1]], name=f"n{index}")
        for index, operator in enumerate(operators)
    ]
    ends = [onnx_models.value("x", shape=shape or ["n", 3]), onnx_models.value("y")]
    return onnx_models.model(nodes, ends[:1], ends[1:], opset=17)


def assigned(**providers: str) -> list[tuple[str, Key]]:
    """n0="CUDA Relu": node n0 is a Relu on CUDA."""
    short = {"CUDA": CUDA, "CPU": CPU}
    return [(short[text.split()[0]], (name, text.split()[1], "")) for name, text in providers.items()]


def crossings(model: onnx.ModelProto, nodes: list[tuple[str, Key]], **shapes: tuple[int, ...]) -> Crossings:
    return crossings_of(model, nodes, shapes, "sample=0")


class TestRecorded:
    def test_a_session_on_the_cpu_places_all_there(self, tmp_path: Path) -> None:
        session = OnnxRuntime("cpu", Numerics(), OnnxRuntimeOptions()).open(
            onnx_models.save(chain("Relu", "Exp"), tmp_path / "m.onnx"), "encoder"
        )
        placement = session.placement
        assert (placement.component, placement.requested, placement.nodes) == ("encoder", CPU, {CPU: 2})
        assert placement.elsewhere == ()
        assert placement.unknown == ""

    @pytest.mark.skipif(AZURE not in onnxruntime.get_available_providers(), reason="a build without Azure")
    @pytest.mark.parametrize("level", ["disable_all", "all"])
    def test_nodes_that_a_real_provider_did_not_take(self, tmp_path: Path, level: str) -> None:
        """The CPU build has a provider that loads and takes none of these nodes."""
        options = OnnxRuntimeOptions(provider=AZURE, optimization=level)
        runtime = OnnxRuntime("cpu", Numerics(), options)
        session = runtime.open(onnx_models.save(chain("Relu", "Det"), tmp_path / "m.onnx"))
        assert session.providers == (AZURE, CPU)
        assert session.placement.nodes == {CPU: 2}
        assert session.placement.elsewhere == (
            Misplaced(op_type="Relu", provider=CPU, count=1, nodes=("n0",)),
            Misplaced(op_type="Det", provider=CPU, count=1, nodes=("n1",)),
        )
        measured = runtime.placement(session, {"x": (2, 3, 3)}, "0")
        assert measured.crossings == Crossings(input_set="0", count=0, bytes=0)

    def test_counts_by_provider_and_operator(self) -> None:
        native = Recorded(
            [
                Part(CUDA, [Node("a", "Conv"), Node("b", "Relu")]),
                Part(CPU, [Node("c", "Det")]),
                Part(CPU, [Node("d", "Unique"), Node("", "Unique"), Node("f", "Fused", "com.microsoft")]),
            ]
        )
        placement = placement_of(native, "model", CUDA)
        assert placement.nodes == {CUDA: 2, CPU: 4}
        assert placement.elsewhere_count == 4
        assert [(each.op_type, each.count, each.nodes) for each in placement.elsewhere] == [
            ("Unique", 2, ("d", "")),
            ("Det", 1, ("c",)),
            ("com.microsoft::Fused", 1, ("f",)),
        ]

    def test_what_was_not_recorded_is_unknown_not_right(self, tmp_path: Path) -> None:
        config = {"session.record_ep_graph_assignment_info": "0"}
        runtime = OnnxRuntime("cpu", Numerics(), OnnxRuntimeOptions(session_config=config))
        placement = runtime.open(onnx_models.identity(tmp_path / "m.onnx")).placement
        assert placement.unknown.startswith("ONNX Runtime does not tell: ")
        assert placement.nodes == {}


class TestCrossings:
    def test_each_tensor_that_two_providers_share_counts_with_the_shapes_of_the_run(self) -> None:
        nodes = assigned(n0="CUDA Relu", n1="CPU Exp", n2="CUDA Relu")
        found = crossings(chain("Relu", "Exp", "Relu"), nodes, x=(5, 3))
        assert found == Crossings(
            input_set="sample=0",
            count=2,
            bytes=120,
            largest=(
                Crossing(tensor="t0", source=CUDA, target=CPU, bytes=60),
                Crossing(tensor="t1", source=CPU, target=CUDA, bytes=60),
            ),
        )

    def test_inputs_outputs_and_weights_are_none_of_it(self) -> None:
        nodes = assigned(n0="CPU Relu", n1="CPU Exp")
        assert crossings(chain("Relu", "Exp"), nodes, x=(5, 3)).count == 0

    def test_a_tensor_with_two_readers_is_copied_once(self) -> None:
        model = chain("Relu", "Exp")
        model.graph.node.append(helper.make_node("Exp", ["t0"], ["z"], name="n2"))
        nodes = assigned(n0="CUDA Relu", n1="CPU Exp", n2="CPU Exp")
        assert crossings(model, nodes, x=(5, 3)).bytes == 60

    def test_a_shape_that_depends_on_values_is_unknown_with_the_reason(self) -> None:
        nodes = assigned(n0="CUDA Relu", n1="CPU NonZero", n2="CUDA Abs")
        found = crossings(chain("Relu", "NonZero", "Abs"), nodes, x=(5, 3))
        assert (found.count, found.bytes) == (2, 60)
        assert "'t1': its shape depends on the values of other tensors" in found.unknown
        assert found.largest[-1].bytes is None

    def test_nodes_that_were_rewritten_are_counted_as_unknown(self) -> None:
        found = crossings(chain("Relu", "Exp", "Relu"), assigned(n0="CUDA Relu", n2="CPU Relu"), x=(5, 3))
        assert "1 nodes can't be told apart or were rewritten (Exp x 1)" in found.unknown

    def test_nodes_without_names_count_where_their_operator_is_on_one_provider(self) -> None:
        model = chain("Relu", "Exp", "Relu")
        for node in model.graph.node:
            node.name = ""
        relu, exp = (CUDA, ("", "Relu", "")), (CPU, ("", "Exp", ""))
        assert crossings(model, [relu, relu, exp], x=(5, 3)).bytes == 120
        both = crossings(model, [relu, (CPU, ("", "Relu", "")), exp], x=(5, 3))
        assert "2 nodes can't be told apart" in both.unknown

    def test_in_a_subgraph_how_often_is_unknown(self) -> None:
        body = helper.make_graph(
            [helper.make_node("Exp", ["t"], ["inner"], name="exp")], "body", [], [onnx_models.value("inner")]
        )
        model = onnx_models.model(
            [
                helper.make_node("Relu", ["x"], ["t"], name="relu"),
                helper.make_node("If", ["c"], ["y"], name="if", then_branch=body, else_branch=body),
            ],
            [onnx_models.value("x", shape=[2]), onnx_models.value("c", TensorProto.BOOL, [])],
            [onnx_models.value("y")],
        )
        found = crossings(model, assigned(relu="CUDA Relu", exp="CPU Exp", **{"if": "CUDA If"}), x=(2,))
        assert [each.tensor for each in found.largest] == ["t", "inner"]
        assert found.bytes == 0
        assert "how often that runs is not known" in found.unknown

    def test_what_leaves_a_subgraph_crosses_too(self) -> None:
        found = crossings(exp_in_a_branch(), assigned(exp="CPU Exp", **{"if": "CUDA If"}), x=(2,))
        assert [(each.tensor, each.source, each.target) for each in found.largest] == [("inner", CPU, CUDA)]
        assert found.unknown

    def test_weights_are_not_needed_to_know_a_shape(self) -> None:
        weight = onnx.numpy_helper.from_array(np.ones((3, 4096), np.float32), "w")
        model = onnx_models.model(
            [
                helper.make_node("MatMul", ["x", "w"], ["h"], name="mul"),
                helper.make_node("Exp", ["h"], ["y"], name="exp"),
            ],
            [onnx_models.value("x", shape=["n", 3])],
            [onnx_models.value("y")],
            [weight],
        )
        assert crossings(model, assigned(mul="CUDA MatMul", exp="CPU Exp"), x=(2, 3)).bytes == 2 * 4096 * 4

    def test_a_graph_that_can_not_be_inferred_is_no_reason_to_stop(self) -> None:
        model = chain("Relu", "Exp")
        del model.opset_import[:]
        found = crossings(model, assigned(n0="CUDA Relu", n1="CPU Exp"), x=(5, 3))
        assert (found.count, found.bytes) == (1, 0)
        assert "'t0': shapes can't be inferred: " in found.unknown


def test_subgraphs_are_recorded_by_onnxruntime_too(tmp_path: Path) -> None:
    """What `crossings_of` counts on: nodes inside an If are among those that are assigned."""
    session = OnnxRuntime("cpu", Numerics(optimization="disable_all"), OnnxRuntimeOptions()).open(
        onnx_models.save(exp_in_a_branch(), tmp_path / "m.onnx")
    )
    assert ("exp", "Exp", "") in [key for _, key in assigned_nodes(session.native)]


@pytest.mark.gpu
@pytest.mark.skipif(not HAS_CUDA, reason="needs a CUDA device, a CUDA build of PyTorch and onnxruntime-gpu")
@pytest.mark.parametrize("level", ["disable_all", "all"])
def test_a_node_without_a_kernel_on_the_gpu(tmp_path: Path, level: str) -> None:
    runtime = OnnxRuntime("cuda:0", Numerics(), OnnxRuntimeOptions(optimization=level))
    session = runtime.open(onnx_models.save(chain("Relu", "Det", "Relu"), tmp_path / "m.onnx"))
    placement = runtime.placement(session, {"x": (5, 3, 3)}, "0")
    assert placement.nodes == {CUDA: 2, CPU: 1}
    assert placement.elsewhere == (Misplaced(op_type="Det", provider=CPU, count=1, nodes=("n1",)),)
    assert placement.crossings is not None
    assert (placement.crossings.count, placement.crossings.bytes) == (2, 5 * 9 * 4 + 5 * 4)
