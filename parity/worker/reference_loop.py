"""One call of a PyTorch component, and the steps of one with state: each is recorded as a call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch

from parity.worker.binding import Binding, Tensors
from parity.worker.flattening import Leaf
from parity.worker.loops import run_steps
from parity.worker.output_names import output_names
from parity.worker.recording import Recorder, save
from parity.worker.reference_component import ReferenceComponent
from parity.worker.tensors import to_torch


def reference_steps(
    component: ReferenceComponent,
    binding: Binding,
    tensors: Tensors,
    recorder: Recorder | None,
    *,
    by_path: bool,
) -> Iterator[Mapping[str, Leaf]]:
    """The outputs of each step by their ONNX names; tensors on the component's device.

    Args:
        component: with a loop.
        binding: how its inputs are passed.
        tensors: the inputs; those of the state are the first step's.
        recorder: of every step; None while a run is timed.
        by_path: record the outputs by their paths in the result, and not by their ONNX names.
    """

    def run(inputs: dict[str, Any]) -> dict[str, Leaf]:
        held = {name: tensor.contiguous() for name, tensor in inputs.items()}
        return call_once(component, binding, held, recorder, by_path=by_path)

    return run_steps(component.job, tensors, run)


def call_once(
    component: ReferenceComponent,
    binding: Binding,
    tensors: Tensors,
    recorder: Recorder | None,
    *,
    by_path: bool,
) -> dict[str, Leaf]:
    """One call; arguments and result are those of `reference_steps`."""
    folder, records = recorder.begin(tensors) if recorder else (None, ())
    if component.job.loop is not None:
        component.check(records)  # else the inputs were checked whole, or ONNX Runtime will
    leaves = component.run(binding, tensors, wait=recorder is not None)  # not while it is timed
    named = component.by_onnx_name(leaves)
    if recorder and folder:
        saved = save(leaves if by_path else named, folder / "outputs")
        names = output_names(component.job, leaves, component.whose).values() if by_path else named
        recorder.end(component.name, binding, records, saved, tuple(names))
    return {name: _on_device(leaf, component.device) for name, leaf in named.items()}


def _on_device(leaf: Leaf, device: torch.device) -> Leaf:
    """Arrays that the module made itself become tensors, but for strings, which have none."""
    return leaf if isinstance(leaf, torch.Tensor) or leaf.dtype.kind == "U" else to_torch(leaf, device)
