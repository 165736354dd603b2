"""The record of what went into a component of the reference and came out, call by call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from parity.artifacts import write_tensor
from parity.records.tensors import StageCall, TensorRecord
from parity.worker.binding import Binding
from parity.worker.flattening import Leaf
from parity.worker.tensors import to_numpy


@dataclass(frozen=True)
class Example:
    """How a component was called, which an exporter repeats."""

    call: StageCall
    binding: Binding
    output_names: tuple[str, ...]  # ONNX names of the flattened result, in its order


class Recorder:
    """Writes the tensors of every call of a run as soon as they are there: user code may change them."""

    def __init__(self, directory: Path) -> None:
        self.examples: list[Example] = []  # one for each call that ended
        self._directory = directory
        self._begun = 0

    @property
    def calls(self) -> tuple[StageCall, ...]:
        """Every call that ended, in order."""
        return tuple(example.call for example in self.examples)

    def begin(self, tensors: Mapping[str, Leaf]) -> tuple[Path, tuple[TensorRecord, ...]]:
        """Saves what a call is about to get; returns the call's folder and the records."""
        folder = self._directory / f"call-{self._begun}"
        self._begun += 1
        return folder, save(tensors, folder / "inputs")

    def end(
        self,
        component: str,
        binding: Binding,
        inputs: tuple[TensorRecord, ...],
        outputs: tuple[TensorRecord, ...],
        output_names: tuple[str, ...],
    ) -> None:
        """Keeps a call whose outputs are saved."""
        index = sum(call.component == component for call in self.calls)
        call = StageCall(component=component, index=index, inputs=inputs, outputs=outputs)
        self.examples.append(Example(call, binding, output_names))


def save(tensors: Mapping[str, Leaf], directory: Path) -> tuple[TensorRecord, ...]:
    """Writes tensors, from any device, into a folder; their order is kept."""
    return tuple(
        write_tensor(directory, name, to_numpy(leaf, name) if isinstance(leaf, torch.Tensor) else leaf)
        for name, leaf in tensors.items()
    )
