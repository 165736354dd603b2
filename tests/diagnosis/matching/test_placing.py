"""Where ONNX nodes come from, told by values, metadata, names, initializers and neighbours."""

from __future__ import annotations

import pytest
import torch
from onnx import TensorProto, helper
from support.architectures import EXPORTERS, Exporter, build, exported
from support.traces import Node, Traced, trace_both, write_model
from torch import Tensor, nn

from parity.diagnosis.matching import Matches, Place, match, places
from parity.diagnosis.onnx64 import Graph64
from parity.diagnosis.tracing import Trace, trace_graph


class Inner(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 4), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x) + x


class Outer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.block = Inner()

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.block(x))


_NODES: list[Node] = [
    ("Gemm", ["x", "block.layers.0.weight", "block.layers.0.bias"], ["g"], {"transB": 1}),
    ("Relu", ["g"], ["r"]),
    ("Add", ["r", "x"], ["a"]),
    ("Sigmoid", ["a"], ["y"]),
]


@pytest.fixture
def module() -> nn.Module:
    torch.manual_seed(0)
    return Outer()


def _traced(module: nn.Module) -> Traced:
    return trace_both(module, write_model(_NODES, module), {"x": torch.randn(3, 4)})


def _unmatched(traced: Traced) -> Matches:
    return Matches(tuple(() for _ in traced.graph.tensors), traced.matches.fixed)


def test_values_tell_the_module_and_the_line(module: nn.Module) -> None:
    traced = _traced(module)
    found = places(traced.graph, traced.module, traced.matches, write_model(_NODES, module), module)
    assert [found[name].module for name in "gray"] == ["block.layers.0", "block.layers.1", "block", ""]
    assert all("test_placing.py:" in found[name].source for name in "gray")
    assert found["g"].source == found["r"].source == found["a"].source != found["y"].source


def test_initializers_tell_the_module_and_neighbours_have_the_same_place(module: nn.Module) -> None:
    traced = _traced(module)
    model = write_model(_NODES, module)
    found = places(traced.graph, traced.module, _unmatched(traced), model, module)
    assert found["g"].module == "block.layers.0"
    assert "test_placing.py:" in found["g"].source
    assert found["r"] == found["y"] == found["g"]


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("/block/layers/layers.0/Gemm", "block.layers.0"),
        ("/block/layers/layers.1/Relu", "block.layers.1"),
        ("/block/Add", "block"),
        ("/wrapper/block/Add", "block"),
    ],
)
def test_scoped_names_are_resolved(module: nn.Module, name: str, path: str) -> None:
    model = write_model(
        [(*_NODES[0][:1], ["x", "w"], ["g"], {"transB": 1}), *_NODES[1:]], module, w=[[0.0] * 4] * 4
    )
    model.graph.node[0].name = name
    traced = trace_both(module, model, {"x": torch.randn(3, 4)})
    found = places(traced.graph, traced.module, _unmatched(traced), model, module)
    assert found[name].module == path


def test_the_dynamo_exporters_metadata_tell_module_and_line(module: nn.Module) -> None:
    traced = _traced(module)
    model = write_model(_NODES, module)
    for key, value in {
        "pkg.torch.onnx.name_scopes": "['', 'block', 'block.layers', 'block.layers.1', 'relu']",
        "pkg.torch.onnx.stack_trace": 'File "/home/me/project/model.py", line 12, in forward\n    x\n'
        'File "/opt/lib/python3.11/site-packages/torch/nn/modules/linear.py", line 9, in forward\n    y',
    }.items():
        model.graph.node[1].metadata_props.add(key=key, value=value)
    found = places(traced.graph, traced.module, _unmatched(traced), model, module)
    assert found["r"] == Place("block.layers.1", "model.py:12")


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_what_the_exporters_write_agrees_with_what_the_values_tell(exporter: Exporter) -> None:
    root, model = build("vit"), exported("vit", exporter)
    traced = trace_both(root, model, {"x": root.example_inputs(1)[0]})
    by_value = places(traced.graph, traced.module, traced.matches, model, root)
    written = places(traced.graph, traced.module, _unmatched(traced), model, root)
    computed = [op.node for op in traced.graph.ops if op.op_type in ("Conv", "MatMul", "Softmax", "Erf")]
    assert len(computed) > 10
    assert [by_value[name].module for name in computed] == [written[name].module for name in computed]
    assert all(by_value[name].source for name in computed)


def test_children_of_a_sequential_in_a_list_are_found_by_their_scoped_names() -> None:
    root = nn.Module()
    root.backbone = nn.Module()
    root.backbone.blocks = nn.ModuleList([nn.Sequential(nn.ReLU()), nn.Sequential(nn.ReLU(), nn.Tanh())])
    name = "/backbone/blocks.1/blocks.1.1/Tanh"
    node = helper.make_node("Tanh", ["x"], ["y"], name=name)
    value = [helper.make_tensor_value_info(each, TensorProto.FLOAT, [3]) for each in ("x", "y")]
    model = helper.make_model(helper.make_graph([node], "graph", value[:1], value[1:]))
    _, graph = trace_graph(Graph64(model), {"x": torch.ones(3)})
    empty = Trace((), (), {}, {})
    assert places(graph, empty, match(graph, empty), model, root)[name].module == "backbone.blocks.1.1"
