"""TorchScript archives and exported programs."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from support.loaders import network
from support.reference import unable
from torch import nn

from parity.records.jobs import ModelJob
from parity.worker.exporting import ExportRequest, export_dynamo, export_torchscript
from parity.worker.loaders import exported_program, torchscript
from parity.worker.modules import build_module

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of TorchScript as a whole


class Scaled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))

    def forward(self, x: torch.Tensor, shift: torch.Tensor, factor: float = 2.0) -> torch.Tensor:
        return x * self.weight * factor + shift


def scripted(path: Path) -> torchscript.TorchScriptModule:
    torch.jit.script(Scaled()).save(str(path))
    module, _ = build_module(ModelJob(loader="torchscript", target=path.name), path.parent)
    assert isinstance(module, torchscript.TorchScriptModule)
    return module


def test_torchscript_says_what_its_forward_takes(tmp_path: Path) -> None:
    module = scripted(tmp_path / "model.ts")
    parameters = inspect.signature(module.forward).parameters
    assert list(parameters) == ["x", "shift", "factor"]
    assert parameters["factor"].default == 2.0
    assert parameters["shift"].default is inspect.Parameter.empty
    assert torch.equal(module(torch.ones(3), shift=torch.ones(3)), torch.full((3,), 3.0))


def test_a_checkpoint_replaces_the_weights_of_an_archive(tmp_path: Path) -> None:
    torch.jit.script(Scaled()).save(str(tmp_path / "model.ts"))
    torch.save({"weight": torch.full((3,), 5.0)}, tmp_path / "new.pth")
    job = ModelJob(
        loader="torchscript", config=str(tmp_path / "model.ts"), checkpoint=str(tmp_path / "new.pth")
    )
    module, _ = build_module(job, tmp_path)
    assert module(torch.ones(3), shift=torch.zeros(3))[0] == 10.0


def test_the_dynamo_exporter_says_that_it_takes_no_torchscript(tmp_path: Path) -> None:
    module = scripted(tmp_path / "model.ts")
    request = ExportRequest(module, (torch.ones(3),), {}, ("x",), ("y",), None, None, {})
    error = unable(lambda: export_dynamo(request, tmp_path / "model.onnx"))
    assert "takes no TorchScript" in error.problem
    assert "torchscript" in error.fix


def exported(module: nn.Module, path: Path) -> Any:
    torch.export.save(torch.export.export(module, (torch.ones(2, 3, 8, 8),)), path)
    return exported_program.load(ModelJob(loader="exported-program", target=path.name), path.parent)


def test_a_program_exported_in_train_mode_is_noted(tmp_path: Path) -> None:
    assert exported(network(), tmp_path / "eval.pt2").notes == ()
    dropping = nn.Sequential(network().conv, nn.Dropout(0.5))  # type: ignore[arg-type]
    (note,) = exported(dropping.train(), tmp_path / "train.pt2").notes
    assert "exported in train mode (dropout)" in note


@pytest.mark.filterwarnings(
    "ignore::torch.jit.TracerWarning",  # of the program's checks of its input
    "ignore:`isinstance:FutureWarning",  # of PyTorch's exporter itself
)
def test_both_exporters_take_an_exported_program(tmp_path: Path) -> None:
    x = torch.ones(2, 3, 8, 8)
    module = exported(network(), tmp_path / "model.pt2").module.eval()
    for export in (export_torchscript, export_dynamo):
        request = ExportRequest(module, (x,), {}, ("x",), ("logits", "features"), None, False, {})
        export(request, tmp_path / "model.onnx")
        session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
        logits, _ = session.run(None, {"x": x.numpy()})
        np.testing.assert_allclose(logits, module(x)[0].detach().numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("loader", [torchscript, exported_program])
def test_arguments_that_nothing_takes_are_refused(tmp_path: Path, loader: Any) -> None:
    (tmp_path / "model").touch()
    for fields, said in (({"args": {"a": 1}}, "no 'args'"), ({"target": "other"}, "no file")):
        job = ModelJob(**{"loader": "torchscript", "target": "model", **fields})
        error = unable(lambda job=job: loader.load(job, tmp_path))
        assert error.reason == "specification"
        assert said in error.problem
