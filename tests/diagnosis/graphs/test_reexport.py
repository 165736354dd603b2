"""A module exported again: as its file was, and nothing of the module changed by it."""

from __future__ import annotations

import random
import warnings
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import ModelProto
from support.architectures import EXPORTERS, build, export, exported
from torch import Tensor, nn

from parity.diagnosis.graphs.comparing import compare
from parity.diagnosis.graphs.reexport import export_again
from parity.worker.problems import Unable


def without_traces(model: ModelProto) -> ModelProto:
    """The file as a simplifier leaves it: no metadata, tensors and nodes renamed."""
    copy = ModelProto.FromString(model.SerializeToString())
    del copy.metadata_props[:]
    del copy.graph.metadata_props[:]
    kept = {each.name for each in (*copy.graph.input, *copy.graph.output)}
    names = {
        name: f"t{place}"
        for place, name in enumerate(
            dict.fromkeys(
                name for node in copy.graph.node for name in (*node.input, *node.output) if name not in kept
            )
        )
        if name
    }
    for place, node in enumerate(copy.graph.node):
        del node.metadata_props[:]
        node.name, node.doc_string = f"op{place}", ""
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    for tensor in copy.graph.initializer:
        tensor.name = names.get(tensor.name, tensor.name)
    del copy.graph.value_info[:]
    return copy


@pytest.mark.parametrize("exporter", EXPORTERS)
@pytest.mark.parametrize("architecture", ["mobilenet", "recurrent"])
def test_finds_the_exporter_and_gives_the_same_graph(
    architecture: str, exporter: str, tmp_path: Path
) -> None:
    model = build(architecture)
    like = exported(architecture, exporter)
    fresh = export_again(model, model.example_inputs(3), {}, like, str(tmp_path))
    assert (fresh.exporter, fresh.opset, fresh.constant_folding) == (exporter, 18, True)
    assert not compare(like, fresh.model).changes
    again = export_again(model, model.example_inputs(3), {}, like, str(tmp_path))
    assert not compare(fresh.model, again.model).changes
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_tells_the_exporter_by_the_graph_alone(exporter: str, tmp_path: Path) -> None:
    model = build("vit")
    like = without_traces(exported("vit", exporter))
    fresh = export_again(model, model.example_inputs(0), {}, like, str(tmp_path))
    assert fresh.exporter == exporter
    assert not compare(like, fresh.model).changes


def test_finds_that_constants_were_not_folded(tmp_path: Path) -> None:
    model = build("recurrent")
    like = export(model, "torchscript", constant_folding=False)
    fresh = export_again(model, model.example_inputs(0), {}, like, str(tmp_path))
    assert not compare(like, fresh.model).changes
    assert fresh.exporter == "torchscript"
    folded = export(model, "torchscript", constant_folding=True)
    assert fresh.constant_folding == (len(folded.graph.node) == len(like.graph.node))


def test_finds_that_few_batch_norms_were_not_folded(tmp_path: Path) -> None:
    """A folded export of a small network has so few operators less that it looks like a single change."""
    model = nn.Sequential(
        *(layer for _ in range(3) for layer in (nn.Conv2d(2, 2, 1, bias=False), nn.BatchNorm2d(2), nn.ReLU()))
    ).eval()
    x = torch.ones(1, 2, 3, 3)
    path = tmp_path / "like.onnx"
    with warnings.catch_warnings(action="ignore"):
        torch.onnx.export(model, (x,), path, dynamo=False, do_constant_folding=False, input_names=["x"])
    like = onnx.load(path)
    changed = next(node for node in like.graph.node if node.op_type == "BatchNormalization")
    next(each for each in changed.attribute if each.name == "epsilon").f = 0.5
    fresh = export_again(model, (x,), {}, like, str(tmp_path))
    assert not fresh.constant_folding
    (change,) = compare(like, fresh.model).changes
    assert "epsilon is 0.5 in the file" in change.message


class Odd(nn.Module):
    """In train mode, counts its calls, takes an input by keyword, returns a dictionary; any batch."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 3)
        self.dropout = nn.Dropout(0.5)
        self.norm = nn.BatchNorm1d(3).eval()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor, scale: Tensor) -> dict[str, Tensor]:
        self.calls += 1
        y = self.norm(self.dropout(self.linear(x)) * scale)
        return {"y": y, "sum": y.sum(-1)}


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_dynamic_axes_names_and_an_untouched_module(exporter: str, tmp_path: Path) -> None:
    torch.manual_seed(5)
    module = Odd()
    inputs = torch.randn(2, 4), torch.randn(2, 1)
    like = _file(exporter)
    modes = [child.training for child in module.modules()]
    state = {name: value.clone() for name, value in module.state_dict().items()}
    generators = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    with torch.enable_grad():
        fresh = export_again(module, inputs[:1], {"scale": inputs[1]}, like, str(tmp_path))
        assert torch.is_grad_enabled()
    assert modes == [child.training for child in module.modules()]
    assert all(torch.equal(value, state[name]) for name, value in module.state_dict().items())
    assert torch.equal(generators[0], torch.get_rng_state())
    assert np.array_equal(generators[1], np.random.get_state()[1])  # noqa: NPY002
    assert generators[2] == random.getstate()
    assert not module._forward_hooks
    graph = fresh.model.graph
    assert [each.name for each in graph.input] == ["left", "factor"]
    assert [each.name for each in graph.output] == ["rows", "total"]
    dims = [each.type.tensor_type.shape.dim[0].dim_param for each in graph.input]
    assert dims == ["batch", "batch"]
    assert "Dropout" not in {node.op_type for node in graph.node}


def _file(exporter: str) -> ModelProto:
    """A file with nothing but an interface and the traces of an exporter."""
    batch = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["batch", size])
        for name, size in (("left", 4), ("factor", 1))
    ]
    outputs = [onnx.helper.make_empty_tensor_value_info(name) for name in ("rows", "total")]
    node = onnx.helper.make_node("Mul", ["left", "factor"], ["rows"], name="/Mul")
    graph = onnx.helper.make_graph([node], "g", batch, outputs)
    if exporter == "dynamo":
        onnx.helper.set_model_props(graph, {"pkg.torch.export.graph_signature": "..."})
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)])


class Branching(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        raise RuntimeError("no such branch\nsecond line")


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_says_what_the_exporter_says(exporter: str, tmp_path: Path) -> None:
    module = Branching()
    like = _file(exporter)
    says = f"the {exporter} exporter failed: RuntimeError: no such branch$"
    with pytest.raises(Unable, match=says) as raised:
        export_again(module, (torch.ones(2, 4), torch.ones(2, 1)), {}, like, str(tmp_path))
    assert raised.value.reason == "model"
    with pytest.raises(Unable, match="the file has 2 inputs, the module was called with 1"):
        export_again(module, (torch.ones(2, 4),), {}, like, str(tmp_path))
