"""One call of a module and its ONNX model, with all that the diagnosis of the export leg is given."""

from __future__ import annotations

import warnings
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import ModelProto
from torch import Tensor, nn

from parity.diagnosis.budget import difference
from parity.diagnosis.export_leg import ExportFinding, Subject, diagnose_export
from parity.diagnosis.graphs.exporters import input_names
from parity.diagnosis.onnx64 import Graph64
from parity.diagnosis.tracing import trace_graph, trace_module
from parity.registry import EXPORTERS, resolve
from parity.worker.exporting import ExportRequest
from parity.worker.flattening import flatten


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
    reference64 = {name: result.outputs[at].numpy() for name, at in paths.items()}
    noise = {name: difference(noisy[at].numpy(), reference64[name]).greatest for name, at in paths.items()}
    errors = {}
    for name, expected in reference64.items():
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


def made(  # noqa: PLR0913 - all of them say what is exported, and as what
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
