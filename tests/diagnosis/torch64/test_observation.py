"""What an observer is told: every result, its module and its line."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch._decomp import get_decompositions

from parity.diagnosis.torch64 import Observation, evaluate64

HERE = Path(__file__).name


class Branch(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        left, right = x.chunk(2, -1)  # line: chunk
        return left.relu_() + right


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.branches = nn.ModuleList([Branch(), Branch()])
        self.act = nn.GELU()
        self.again = self.act

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.branches[1](self.branches[0](x))
        x = self.again(x)
        return x.topk(1)  # line: topk


def line(mark: str) -> str:
    """``test_observation.py:21`` of the line with this mark."""
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    return f"{HERE}:{next(i for i, text in enumerate(lines, 1) if text.endswith(f'# line: {mark}'))}"


def observe(**options) -> list[Observation]:
    seen: list[Observation] = []
    evaluate64(Net().eval(), [torch.randn(2, 8)], observe=seen.append, **options)
    return seen


def test_operators_modules_and_lines() -> None:
    told = [(each.op_name, each.module_path, len(each.outputs)) for each in observe()]
    assert told == [
        ("aten.split.Tensor", "branches.0", 2),
        ("aten.relu_.default", "branches.0", 1),
        ("aten.add.Tensor", "branches.0", 1),
        ("aten.split.Tensor", "branches.1", 2),
        ("aten.relu_.default", "branches.1", 1),
        ("aten.add.Tensor", "branches.1", 1),
        ("aten.gelu.default", "act", 1),
        ("aten.topk.default", "", 2),
    ]


def test_source_lines() -> None:
    seen = observe()
    assert seen[0].source.endswith(line("chunk"))
    assert seen[-1].source.endswith(line("topk"))


def test_inputs_and_outputs_are_those_of_the_operator() -> None:
    split, relu, add, *_ = observe()
    assert len(split.inputs) == 1
    assert add.inputs[1] is split.outputs[1]
    assert relu.inputs[0] is relu.outputs[0]
    assert len(add.inputs) == 2


def test_a_decomposed_operator_shows_its_inside() -> None:
    seen = observe(decompositions=get_decompositions([torch.ops.aten.gelu]))
    inside = [each for each in seen if each.module_path == "act"]
    assert "aten.gelu.default" not in {each.op_name for each in inside}
    assert "aten.erf.default" in {each.op_name for each in inside}
    assert {each.dtype for one in inside for each in one.outputs} == {torch.float64}


def test_without_lines_of_its_own_a_model_has_no_source() -> None:
    seen: list[Observation] = []
    evaluate64(nn.Sequential(nn.ReLU()), [torch.randn(2)], observe=seen.append)
    assert [(each.module_path, each.source) for each in seen] == [("0", "")]


def test_an_observer_computes_undisturbed() -> None:
    sums: list[Tensor] = []
    evaluate64(Net(), [torch.randn(2, 8)], observe=lambda each: sums.append(each.outputs[0].float().sum()))
    assert {each.dtype for each in sums} == {torch.float32}
