"""Both sides as data: every operator, what flows where, and sketches that meet across the export."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from onnx import TensorProto, helper
from support.architectures import ARCHITECTURES, EXPORTERS, Exporter, build, exported
from torch import Tensor, nn

from parity.diagnosis.onnx64 import Graph64
from parity.diagnosis.tracing import Sketch, Trace, sketch, torch_trace, trace_graph, trace_module
from parity.worker.flattening import flatten


def traced(module: nn.Module, **inputs: Tensor) -> Trace:
    """The trace of a module with one output, which is called ``y``."""
    _, trace = trace_module(module.eval(), tuple(inputs.values()), {}, inputs, {"y": "output"})
    return trace


def both(architecture: str, exporter: Exporter) -> tuple[Trace, Trace]:
    module, inputs = build(architecture), build(architecture).example_inputs(0)
    named = dict(zip(module.input_names, inputs, strict=True))
    with torch.no_grad():
        paths = dict(zip(module.output_names, flatten(module(*inputs)), strict=True))
        _, ours = trace_module(module, inputs, {}, named, paths)
        feeds = {name: tensor.numpy() for name, tensor in named.items()}
        _, theirs = trace_graph(Graph64(exported(architecture, exporter)), feeds)
    return ours, theirs


@pytest.mark.parametrize("exporter", EXPORTERS)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_most_tensors_of_a_graph_are_in_the_module_s_trace(architecture: str, exporter: Exporter) -> None:
    module, graph = both(architecture, exporter)
    assert set(module.outputs) == set(graph.outputs)
    assert set(module.inputs) == set(graph.inputs)
    for name, index in graph.outputs.items():
        here, there = module.tensors[module.outputs[name]].sketch, graph.tensors[index].sketch
        assert here is not None
        assert there is not None
        assert here.distance(there) < 1e-5
    computed = [t.sketch for t in graph.tensors if t.sketch and t.sketch.is_float and not t.constant]
    known = [t.sketch for t in module.tensors if t.sketch]
    found = sum(any(sketch.distance(other) < 1e-5 for other in known) for sketch in computed)
    assert found / len(computed) > 0.75


def test_an_in_place_operator_makes_a_new_value() -> None:
    class Net(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (x + 1).relu_().mul_(2)

    trace = traced(Net(), x=torch.randn(5))
    added, relu, doubled = trace.ops
    assert relu.inputs == added.outputs
    assert doubled.inputs[0] == relu.outputs[0]
    assert trace.outputs == {"y": doubled.outputs[0]}
    assert [op.op_type for op in trace.ancestors(trace.outputs["y"])] == [
        "aten.mul_.Tensor",
        "aten.relu_.default",
        "aten.add.Tensor",
    ]


def test_what_an_operator_has_written_in_place_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    net = nn.Sequential(nn.Linear(4, 4), nn.ReLU(inplace=True), nn.Linear(4, 4), nn.ReLU(inplace=True))
    taken: list[torch.Size] = []

    def counting(tensor: Tensor) -> Sketch:
        taken.append(tensor.shape)
        return sketch(tensor)

    monkeypatch.setattr(torch_trace, "sketch", counting)
    with torch.no_grad():
        trace = traced(net, x=torch.randn(3, 4))
    made = [trace.tensors[index].sketch for op in trace.ops for index in op.outputs]
    of_that_shape = sum(each is not None and each.shape == (3, 4) for each in made)
    assert of_that_shape >= 4
    assert taken.count(torch.Size((3, 4))) == of_that_shape + 2  # the input, and the output to be found


def test_what_is_written_through_a_view_is_seen_in_the_whole() -> None:
    class Net(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            y = x * 2
            y[0] += 1
            return y * 3

    x = torch.randn(4, 4)
    trace = traced(Net(), x=x)
    read = trace.ops[-1].inputs[0]
    assert read is not None
    written = x.double() * 2
    written[0] += 1
    found = trace.tensors[read].sketch
    assert found is not None
    assert found.values is not None
    assert torch.equal(found.values, written.flatten())
    assert not trace.tensors[read].constant


def test_fused_operators_are_taken_apart_and_know_their_module() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.LayerNorm(8)
            self.act = nn.GELU()

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.act(self.norm(x))
            return y

    trace = traced(Net(), x=torch.randn(2, 8))
    kinds = [op.op_type for op in trace.ops]
    assert "aten.erf.default" in kinds
    assert "aten.rsqrt.default" in kinds
    assert {op.module for op in trace.ops} == {"norm", "act"}
    assert trace.by_name["norm.weight"].constant


def test_what_no_input_changes_is_constant() -> None:
    class Net(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x + torch.arange(3.0) * 2

    trace = traced(Net(), x=torch.randn(3))
    constant = {
        trace.tensors[index].name: trace.tensors[index].constant
        for op in trace.ops
        for index in op.outputs
        if index is not None
    }
    assert sum(constant.values()) == len(constant) - 1
    assert not trace.tensors[trace.outputs["y"]].constant


def test_consumers_and_producers() -> None:
    trace = traced(nn.Sequential(nn.ReLU(), nn.Tanh()), x=torch.randn(3))
    relu, tanh = trace.ops
    assert trace.consumers[trace.inputs["x"]] == (relu,)
    assert trace.producer(trace.outputs["y"]) == tanh
    assert trace.producer(trace.inputs["x"]) is None


def graph_of(nodes: list[Any], initializers: list[Any]) -> Graph64:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [3])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [3])
    graph = helper.make_graph(nodes, "graph", [x], [y], initializers)
    return Graph64(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]))


def test_nodes_of_a_graph_are_called_by_name_or_first_output() -> None:
    one = helper.make_tensor("one", TensorProto.FLOAT, [1], [1.0])
    nodes = [
        helper.make_node("Add", ["one", "one"], ["two"], name="doubled"),
        helper.make_node("Add", ["x", "two"], ["y"]),
    ]
    _, trace = trace_graph(graph_of(nodes, [one]), {"x": torch.zeros(3)})
    assert [op.node for op in trace.ops] == ["doubled", "y"]
    assert trace.by_name["two"].constant
    assert trace.by_name["one"].op is None
    assert not trace.by_name["y"].constant


def test_what_can_not_be_evaluated_has_no_sketch() -> None:
    nodes = [helper.make_node("Strange", ["x"], ["y"], domain="somewhere.else")]
    evaluation, trace = trace_graph(graph_of(nodes, []), {"x": torch.zeros(3)})
    assert "y" in evaluation.unknown
    assert trace.tensors[trace.outputs["y"]].sketch is None
