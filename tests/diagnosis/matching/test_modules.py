"""The errors of PyTorch modules in a graph with one fault."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from onnx import ModelProto
from support.traces import Node, Traced, trace_both, write_model
from torch import Tensor, nn

from parity.diagnosis.matching import module_errors, places
from parity.records.diagnosis import ModuleErrors


class Stage(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.norm = nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.norm(self.conv(x)))


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = Stage(), Stage()
        self.amplify = nn.Conv2d(3, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.amplify(self.two(self.one(x)))


@pytest.fixture
def module() -> Net:
    torch.manual_seed(0)
    return Net().eval()


def _traced(module: Net, factor: float) -> tuple[Traced, ModelProto]:
    """The second stage's batch norm is folded; its weight is off by a factor."""
    fused = torch.nn.utils.fuse_conv_bn_eval(module.two.conv, module.two.norm)
    norm = [f"one.norm.{name}" for name in ("weight", "bias", "running_mean", "running_var")]
    pads = {"pads": [1, 1, 1, 1]}
    nodes: list[Node] = [
        ("Conv", ["x", "one.conv.weight", "one.conv.bias"], ["c1"], pads),
        ("BatchNormalization", ["c1", *norm], ["n1"]),
        ("Relu", ["n1"], ["r1"]),
        ("Conv", ["r1", "weight", "bias"], ["c2"], pads),
        ("Relu", ["c2"], ["r2"]),
        ("Conv", ["r2", "amplify.weight", "amplify.bias"], ["y"]),
    ]
    weight = np.float32(factor) * fused.weight.detach().numpy()
    model = write_model(nodes, module, weight=weight, bias=fused.bias.detach().numpy())
    model.graph.node[4].name = "/two/Relu"
    x = torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(1))
    return trace_both(module, model, {"x": x}), model


def _errors(module: Net, *, mended: bool, factor: float = 1.05) -> dict[str, ModuleErrors]:
    traced, model = _traced(module, factor)
    sound = _traced(module, 1.0)[0].graph if mended else None
    placed = places(traced.graph, traced.module, traced.matches, model, module)
    found = module_errors(traced.graph, traced.module, traced.matches, sound, module, placed)
    return {each.module: each for each in found}


def test_a_mended_trace_tells_what_each_module_adds_and_what_it_inherits(module: Net) -> None:
    found = _errors(module, mended=True)
    assert list(found) == ["", "one", "one.conv", "one.norm", "two", "two.conv", "two.norm", "amplify"]
    assert found["one.norm"].type == "BatchNorm2d"
    assert "test_modules.py:" in found["one.norm"].source

    for sound in ("one", "one.conv", "one.norm"):
        assert found[sound].total is not None
        assert found[sound].total < 1e-6
    folded = found["two.conv"]  # no tensor of the graph is its result
    assert (folded.total, folded.local) == (None, None)

    culprit = found["two.norm"]
    assert culprit.total is not None
    assert culprit.total > 1e-3
    assert culprit.local == culprit.total
    assert culprit.inherited is not None
    assert culprit.inherited < 1e-6

    behind = found["amplify"]
    assert behind.total is not None
    assert behind.total > 1e-3
    assert behind.local is not None
    assert behind.local < 1e-6
    assert behind.inherited == found["two"].total


def test_without_a_mended_trace_nothing_behind_the_fault_is_blamed(module: Net) -> None:
    found = _errors(module, mended=False)
    assert found["two"].local == found["two"].total
    assert found["two"].total is not None
    assert found["two"].total > 1e-3
    assert found["two.conv"].total is None
    behind = found["amplify"]
    assert behind.total is not None
    assert behind.total > 1e-3
    assert behind.local is None


def test_a_sound_graph_has_no_error_anywhere(module: Net) -> None:
    for each in _errors(module, mended=False, factor=1.0).values():
        assert each.total is None or each.total < 1e-6
