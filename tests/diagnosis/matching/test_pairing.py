"""ONNX tensors and the PyTorch tensors that they equal."""

from __future__ import annotations

import numpy as np
import torch
from support.traces import Node, trace_both, write_model
from torch import Tensor, nn


class Pair(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        y = torch.sin(x).reshape(4, 6)
        return (y.t() + 1).flatten() * x.new_ones(24)


def test_matches_are_exact_or_of_another_layout_or_none() -> None:
    nodes: list[Node] = [
        ("Sin", ["x"], ["s"]),
        ("Reshape", ["s", "shape"], ["r"]),
        ("Add", ["r", "one"], ["other"]),
        ("Cos", ["x"], ["strange"]),
        ("Shape", ["x"], ["size"]),
        ("Neg", ["size"], ["negated"]),
        ("Reshape", ["other", "size"], ["y"]),
    ]
    module = Pair()
    model = write_model(nodes, module, shape=np.array([4, 6]), one=1.0)
    traced = trace_both(module, model, {"x": torch.randn(2, 12)})
    found = {name: traced.matches.by_tensor[tensor.index] for name, tensor in traced.graph.by_name.items()}
    names = {name: [traced.module.tensors[each.tensor].name for each in found[name]] for name in found}

    assert [each.exact for each in found["s"]] == [True] * len(found["s"])
    assert found["s"][0].same_shape
    assert names["s"][0].startswith("aten.sin.default")
    assert any(name.startswith("aten.view") for name in names["r"])
    assert found["r"][0].same_shape
    assert found["r"][0].distance < 1e-12

    assert names["other"]
    assert not any(each.exact for each in found["other"])
    assert names["strange"] == []

    fixed = {traced.graph.tensors[index].name for index in traced.matches.fixed}
    assert {"shape", "one", "size", "negated"} <= fixed
    assert not {"x", "s", "r", "y"} & fixed
    assert not found["size"]


def test_matches_are_looked_up_from_the_other_side() -> None:
    nodes: list[Node] = [("Sin", ["x"], ["s"]), ("Identity", ["s"], ["y"])]
    module = Pair()
    traced = trace_both(module, write_model(nodes, module), {"x": torch.randn(2, 12)})
    (sine,) = (op for op in traced.module.ops if op.op_type == "aten.sin.default")
    (index,) = (each for each in sine.outputs if each is not None)
    assert [traced.graph.tensors[each].name for each in traced.matches.by_counterpart[index]] == ["s", "y"]


def test_tensors_whose_elements_are_all_alike_prove_nothing() -> None:
    nodes: list[Node] = [("Mul", ["x", "zero"], ["z"]), ("Add", ["z", "one"], ["y"])]
    module = Pair()
    traced = trace_both(module, write_model(nodes, module, zero=0.0, one=1.0), {"x": torch.randn(24)})
    (best, *_) = traced.matches.by_tensor[traced.graph.by_name["y"].index]  # x.new_ones
    assert best.distance == 0.0
    assert not best.exact
