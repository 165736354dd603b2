"""One call of a module and its ONNX model, with all that the diagnosis of the export leg is given."""

from __future__ import annotations

import warnings
from functools import cache
from math import inf
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import torch
from onnx import ModelProto
from torch import Tensor, nn

from parity.diagnosis.budget import difference
from parity.diagnosis.export_leg import ExportFinding, Subject, diagnose_export
from parity.diagnosis.faults import FAULTS, choose
from parity.diagnosis.faults.planting import Planted
from parity.diagnosis.graphs.exporters import input_names
from parity.diagnosis.onnx64 import Graph64
from parity.diagnosis.tracing import trace_graph, trace_module
from parity.registry import EXPORTERS, resolve
from parity.worker.exporting import ExportRequest
from parity.worker.flattening import flatten


class Small(nn.Module):
    """Two blocks whose batch norms stand before the convolutions, so that no exporter folds them."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(5)
            self.stem = nn.Conv2d(3, 8, 3, padding=1)
            self.norm = nn.BatchNorm2d(8)
            self.conv = nn.Conv2d(8, 8, 3, padding=1, bias=False)
            self.drop = nn.Dropout(0.3)
            self.head = nn.Linear(8, 5)
            nn.init.normal_(self.norm.weight, 1.0, 0.2)
            nn.init.normal_(self.norm.running_mean, 0.0, 0.3)
            nn.init.uniform_(self.norm.running_var, 0.5, 2.0)
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        y = self.stem(x).relu()
        y = torch.tanh(self.conv(self.norm(y)))
        return self.head(self.drop(y.mean((2, 3))))


IMAGE = (torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(7)),)
"""What `Small` takes."""


@cache
def small(exporter: str) -> ModelProto:
    """The file of `Small` by this exporter, made once; not to be changed."""
    with TemporaryDirectory() as folder:
        return made(Small(), IMAGE, Path(folder), exporter=exporter)


def planted(model: ModelProto, fault: str, seed: int = 0) -> Planted:
    """A copy of the model with a fault from the library."""
    kind = FAULTS[fault]()
    return kind.plant(model, choose(kind.sites(model), seed))


def subject_of(
    module: nn.Module,
    model: ModelProto,
    inputs: tuple[Tensor, ...],
    folder: Path,
    *,
    output_names: tuple[str, ...] | None = None,
    sound: bool = False,
    **fields: Any,
) -> Subject:
    """The subject as the reference's worker makes it.

    Args:
        module: it stays in the mode in which it is.
        model: is saved in `folder`.
        inputs: in the order of the file's inputs.
        folder: for the file and all that is made on the way.
        output_names: in the order of the module's result; left out, the file's order.
        sound: whether every output counts, however small its error; else those beyond the noise.
        fields: of the subject, to have others.
    """
    path = folder / "model.onnx"
    if not path.exists():
        onnx.save(model, path)
    names = output_names or tuple(each.name for each in model.graph.output)
    with torch.no_grad():
        noisy = flatten(module(*copies(inputs)), origin="the model")
    paths = dict(zip(names, noisy, strict=True))
    given = copies(inputs)
    declared = dict(zip(input_names(model), given, strict=True))
    result, module_trace = trace_module(module, given, {}, declared, paths)
    feeds = {name: tensor.numpy() for name, tensor in zip(declared, copies(inputs), strict=True)}
    evaluation, graph_trace = trace_graph(Graph64(str(path)), feeds)
    reference64 = {name: np.asarray(result.outputs[at]) for name, at in paths.items()}
    noise = {
        name: difference(np.asarray(noisy[at]), reference64[name]).greatest for name, at in paths.items()
    }
    errors, unmeasured = {}, []
    for name, expected in reference64.items():
        if name in evaluation.unknown:
            unmeasured.append(name)
            continue
        value = evaluation.outputs[name]
        assert isinstance(value, np.ndarray)
        found = difference(expected, value)
        error = inf if found.disagreeing else found.greatest
        if error > 3 * noise[name] or sound:
            errors[name] = error
    return Subject(
        **{
            "module": module,
            "arguments": lambda: (copies(inputs), {}),
            "path": str(path),
            "device": "cpu",
            "feeds": feeds,
            "reference64": {name: reference64[name] for name in errors},
            "errors": errors,
            "module_trace": module_trace,
            "graph_trace": graph_trace,
            "noise": {name: noise[name] for name in errors},
            "output_names": output_names,
            "scratch": str(folder),
            "unmeasured": tuple(unmeasured),
            **fields,
        }
    )


def diagnosed(
    module: nn.Module, model: ModelProto, inputs: tuple[Tensor, ...], folder: Path, **options: Any
) -> ExportFinding:
    """What the export leg finds; of `options` see `subject_of`."""
    return diagnose_export(subject_of(module, model, inputs, folder, **options))


def copies(inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """New tensors, which a forward may write to."""
    return tuple(each.clone() for each in inputs)


def made(
    module: nn.Module,
    inputs: tuple[Tensor, ...],
    folder: Path,
    *,
    exporter: str = "torchscript",
    input_names: tuple[str, ...] = ("x",),
    output_names: tuple[str, ...] = ("y",),
    opset: int = 18,
) -> ModelProto:
    """The module's ONNX model, made as the gate makes it."""
    path = folder / "made.onnx"
    request = ExportRequest(
        module=module,
        args=copies(inputs),
        kwargs={},
        input_names=input_names,
        output_names=output_names,
        opset=opset,
        constant_folding=True,
        dynamic_shapes={},
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # exporters warn about themselves
        resolve(EXPORTERS[exporter])(request, path)
    return onnx.load(str(path))
