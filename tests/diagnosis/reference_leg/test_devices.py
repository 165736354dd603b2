"""Tensors of a module that are on another device are named, and the way out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from support.reference import Project, unable
from torch import Tensor, nn

from parity.diagnosis.reference_leg.devices import misplaced
from parity.problems import problem_of
from parity.records.outcomes import Failed
from parity.records.requests import RunReference
from parity.worker.modules import running
from parity.worker.problems import Unable
from parity.worker.serving import answer

X = np.ones(2, np.float32)
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
    assert found[2].message == (
        "decoder.1.anchors, a plain tensor attribute of shape (2), is on meta, not on cpu"
    )
    assert found[2].remedy.startswith('decoder.1: self.register_buffer("anchors", ...')
    assert 'module.to("cpu")' in found[0].remedy
    assert "a buffer" in found[3].remedy


def test_a_module_that_is_in_its_place() -> None:
    assert misplaced(Net(CPU), CPU) == []


class Mixing(nn.Module):
    """Meets a tensor on another device in the way that `kind` says."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.anchors = torch.ones(2, device="meta")
        self.unused = torch.ones(3, device="meta")

    def forward(self, x: Tensor) -> Tensor:
        if self.kind == "attribute":
            return x + self.anchors
        if self.kind == "variable":
            mask = torch.ones(2, device="meta")
            return x + mask
        return _shifted(x, self.anchors)


def _shifted(x: Tensor, by: Tensor) -> Tensor:
    return torch.cat([x, by])


def failed(module: nn.Module) -> Unable:
    def run() -> None:
        with running("running the model", CPU, module):
            module(torch.ones(2))

    return unable(run)


@pytest.mark.parametrize("kind", ["attribute", "argument"])
def test_the_error_of_two_devices_names_the_tensor(kind: str) -> None:
    error = failed(nn.Sequential(nn.ReLU(), Mixing(kind)))
    (cause,) = error.causes
    assert (cause.kind, cause.tensor) == ("device", "1.anchors")
    told = (
        "1.anchors, a plain tensor attribute of shape (2), is on meta, not on cpu (used at test_devices.py:"
    )
    assert "is not on the expected device cpu; " + told in error.problem
    assert "unused" not in error.problem
    assert 'register_buffer("anchors"' in error.fix


def test_a_tensor_that_the_forward_makes_is_named_too() -> None:
    error = failed(nn.Sequential(nn.ReLU(), Mixing("variable")))
    assert "mask, a variable of the code of shape (2), is on meta, not on cpu" in error.problem
    assert "device=x.device" in error.fix
    assert [cause.tensor for cause in error.causes] == ["mask"]


def test_parameters_that_were_put_elsewhere_are_found_in_the_innermost_module() -> None:
    norm = nn.LayerNorm(2, device="meta")
    error = failed(nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.ReLU(), norm)))
    assert [cause.tensor for cause in error.causes] == ["1.1.weight", "1.1.bias"]
    assert "used at normalization.py:" in error.problem


def test_an_error_without_frames_of_the_model_names_all_that_is_elsewhere() -> None:
    module = nn.Sequential(nn.ReLU())
    module[0].anchors = torch.ones(2, device="meta")

    def run() -> None:
        with running("running the model", CPU, module):
            raise RuntimeError(
                "Expected all tensors to be on the same device, but got mat2 is on cuda:0, "
                "different from other tensors on cpu"
            )

    error = unable(run)
    assert "0.anchors, a plain tensor attribute of shape (2), is on meta, not on cpu" in error.problem
    assert "register_buffer" in error.fix


def test_the_report_has_the_cause(tmp_path: Path) -> None:
    project = Project(
        tmp_path,
        "class Net(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.grids = {'fine': [torch.ones(2, device='meta')]}\n"
        "    def forward(self, x):\n"
        "        return x + self.grids['fine'][0]\n"
        "def build():\n"
        "    return Net()\n",
    )
    (note,) = project.load().notes
    assert note.startswith("the model: grids['fine'][0], a plain tensor attribute of shape (2), is on meta")
    reply = answer(
        project.side, RunReference(case="0", inputs=project.inputs({"x": X}), directory=str(tmp_path))
    )
    assert isinstance(reply, Failed)
    problem = problem_of(reply, "running the reference on cpu")
    assert [(cause.kind, cause.leg, cause.tensor) for cause in problem.causes] == [
        ("device", "reference", "grids['fine'][0]")
    ]
    assert "used at model.py:8" in problem.message
