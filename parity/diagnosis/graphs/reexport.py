"""A module exported now as its ONNX file was once: with its exporter, opset, names and dynamic axes."""

from __future__ import annotations

import random
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import ModelProto
from torch import nn
from torch.jit._trace import TracerWarning

from parity.diagnosis.graphs.exporters import (
    distance,
    dynamic_axes,
    input_names,
    left_out,
    likely_exporters,
    standard_opset,
)
from parity.diagnosis.torch64.places import _shown as shown
from parity.registry import EXPORTERS, resolve
from parity.worker.exporting import ExportRequest
from parity.worker.flattening import flatten
from parity.worker.modules import enforce_eval
from parity.worker.problems import Unable, user_code

_WHOSE = "the model"
# Operators that may differ, at least and as a part of all: a single change of a file touches a few nodes.
_FEW, _PART = 6, 0.05
# Operators that the file alone may have: a single change adds a cast or two. More of them were folded.
_ADDED = 2


@dataclass(frozen=True)
class FreshExport:
    """A module's ONNX model as it is made now, its data in memory, and how.

    `frozen` has the lines, as ``model.py:31``, at which the exporter says that Python decides by a tensor: it
    writes down what was decided for the example.
    """

    model: ModelProto
    exporter: str  # of parity.registry.EXPORTERS
    opset: int
    constant_folding: bool
    frozen: tuple[str, ...] = ()


def export_again(  # noqa: PLR0913 - all of them say what is exported, and as what
    module: nn.Module,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    like: ModelProto,
    folder: str,
    *,
    output_names: tuple[str, ...] | None = None,
    exporter: str | None = None,
) -> FreshExport:
    """Exports a module as a file was exported, and of the likely ways takes the one whose graph is nearest.

    The module is in eval mode meanwhile; its modes, its buffers, the grad mode and the random generators are
    afterwards as they were.

    Args:
        module: what the file was made of.
        args: an example call; tensors, in the order of the file's inputs.
        kwargs: those passed by name, behind them in the order of the file's inputs.
        like: the file; its data is not looked at.
        folder: where files may be written for a while.
        output_names: of the file, in the order of the module's flattened result; left out, the file's order.
        exporter: to be used instead of the likely ones.

    Raises:
        Unable: ``model``; no exporter can do it, with the first line that the likeliest says.
    """
    names = input_names(like)
    if len(names) != len(args) + len(kwargs):
        raise Unable(
            "model", f"the file has {len(names)} inputs, the module was called with {len(args) + len(kwargs)}"
        )
    best: FreshExport | None = None
    failed: Unable | None = None
    near = max(_FEW, int(_PART * len(like.graph.node)))
    for likely in likely_exporters(like) if exporter is None else (exporter,):
        for folding in (True, False):
            request = ExportRequest(
                module=module,
                args=args,
                kwargs=kwargs,
                input_names=names,
                output_names=output_names or tuple(each.name for each in like.graph.output),
                opset=standard_opset(like),
                constant_folding=folding,
                dynamic_shapes=dynamic_axes(like),
            )
            try:
                made = _export(request, likely, folder)
            except Unable as error:
                failed = failed or error
                break
            if best is None or distance(made.model, like) < distance(best.model, like):
                best = made
            folded = folding and left_out(best.model, like) > _ADDED
            if distance(best.model, like) <= near and not folded:
                return best
    if best is not None:
        return best
    raise failed or Unable("model", "there is no exporter that may have made the file")


def _export(request: ExportRequest, exporter: str, folder: str) -> FreshExport:
    export = resolve(EXPORTERS[exporter])
    with tempfile.TemporaryDirectory(dir=folder, prefix="fresh-", ignore_cleanup_errors=True) as directory:
        path = Path(directory) / "model.onnx"
        try:
            with warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always")  # none becomes an error
                with _untouched(request.module), user_code("exporting"):
                    export(request, path)
            model = onnx.load(str(path))
        except Unable as error:
            if error.__cause__ is None:
                raise
            raise Unable(
                "model",
                f"the {exporter} exporter failed: {first_line(error.__cause__)}",
                detail=error.detail,
            ) from error
    made = tuple(each.name for each in model.graph.output)
    if made != request.output_names:
        raise Unable("model", f"the {exporter} exporter made the outputs {made}, not {request.output_names}")
    assert request.constant_folding is not None
    opset, folding = standard_opset(model) or 0, request.constant_folding
    return FreshExport(model, exporter, opset, folding, _frozen(said))


def _frozen(said: list[warnings.WarningMessage]) -> tuple[str, ...]:
    """Lines of the model's own code, each once."""
    traced = (each for each in said if issubclass(each.category, TracerWarning))
    lines = (f"{name}:{each.lineno}" for each in traced if (name := shown(each.filename)) is not None)
    return tuple(dict.fromkeys(lines))


@contextmanager
def _untouched(module: nn.Module) -> Iterator[None]:
    """Puts the module in eval mode, with flat outputs, and takes back all that an export changes."""
    modes = {child: child.training for child in module.modules()}
    buffers = [(child, dict(child._buffers)) for child in module.modules()]
    values = [(each, each.detach().clone()) for each in module.buffers()]
    devices = sorted({each.device.index for each in module.parameters() if each.device.type == "cuda"})
    state, legacy, enabled = random.getstate(), np.random.get_state(), torch.is_grad_enabled()  # noqa: NPY002
    handle = module.register_forward_hook(_flat)
    try:
        with torch.random.fork_rng(devices=devices):
            enforce_eval(module, _WHOSE)
            yield
    finally:
        handle.remove()
        torch.set_grad_enabled(enabled)
        random.setstate(state)
        np.random.set_state(legacy)  # noqa: NPY002
        for child, own in buffers:
            child._buffers.update(own)
        with torch.no_grad():
            for each, value in values:
                if not torch.equal(each, value):
                    each.copy_(value)
        for child, training in modes.items():
            child.training = training


def _flat(_module: nn.Module, _args: Any, result: object) -> tuple[torch.Tensor, ...]:
    """The outputs as the gate flattens them, so that exporters agree on their order."""
    outputs: list[torch.Tensor] = []
    for name, leaf in flatten(result, origin=_WHOSE).items():
        if not isinstance(leaf, torch.Tensor):
            raise Unable("model", f"the output {name!r} is a NumPy array: no exporter can follow it")
        # One tensor under two names: the dynamo exporter writes a file with one name twice.
        outputs.append(leaf.clone() if any(leaf is one for one in outputs) else leaf)
    return tuple(outputs)


def first_line(error: BaseException) -> str:
    """The first line of the error at the bottom: exporters wrap it in pages of advice."""
    while error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, Unable):
        return error.problem
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
