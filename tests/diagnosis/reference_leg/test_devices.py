"""Tensors of a module that are on another device are named, and the way out."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from support.reference import unable
from torch import Tensor, nn

from parity.diagnosis.reference_leg.devices import device_causes, misplaced
from parity.worker.modules import running

CPU, META = torch.device("cpu"), torch.device("meta")


@dataclass
class Boxes:
    corners: Tensor


class Head(nn.Module):
    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2, device=device))
        self.register_buffer("steps", torch.ones(2, device=device))
        self.anchors = torch.ones(2, device=device)
        self.levels = [torch.ones(2), torch.ones(2, device=device)]
        self.cache = {"grid": {"x": torch.ones(2, device=device)}}
        self.boxes = Boxes(torch.ones(2, device=device))
        self.deep = [[[torch.ones(2, device=device)]]]
        self.same = self.anchors

    def forward(self, x: Tensor) -> Tensor:
        return x + self.anchors


class Net(nn.Module):
    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self.decoder = nn.Sequential(nn.ReLU(), Head(device))


def test_every_tensor_that_is_elsewhere_is_named_once() -> None:
    found = misplaced(Net(META), CPU)
    assert [(each.name, each.kind) for each in found] == [
        ("decoder.1.weight", "parameter"),
        ("decoder.1.steps", "buffer"),
        ("decoder.1.anchors", "attribute"),
        ("decoder.1.levels[1]", "attribute"),
        ("decoder.1.cache['grid']['x']", "attribute"),
        ("decoder.1.boxes.corners", "attribute"),
    ]
    assert found[2].message == "decoder.1.anchors, a plain tensor attribute, is on meta, the module on cpu"
    assert found[2].remedy.startswith('decoder.1: self.register_buffer("anchors", ...')
    assert 'module.to("cpu")' in found[0].remedy
    assert "a buffer" in found[3].remedy


def test_a_module_that_is_in_its_place() -> None:
    assert misplaced(Net(CPU), CPU) == []
    assert device_causes(Net(CPU), CPU) == ()


def test_causes() -> None:
    causes = device_causes(Net(META), CPU)
    assert {cause.kind for cause in causes} == {"device"}
    assert causes[2].tensor == "decoder.1.anchors"


def test_the_error_of_two_devices_is_answered_with_the_name() -> None:
    module = nn.Sequential(nn.ReLU())
    module[0].anchors = torch.ones(2, device="meta")

    def run() -> None:
        with running("running the model", CPU, module):
            raise RuntimeError(
                "Expected all tensors to be on the same device, but found at least two devices"
            )

    error = unable(run)
    assert "0.anchors, a plain tensor attribute, is on meta, the module on cpu" in error.fix
    assert "register_buffer" in error.fix
