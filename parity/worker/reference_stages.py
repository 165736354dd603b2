"""The stages that a pipeline function calls, in PyTorch, and the record of what went in and came out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import torch

from parity.artifacts import write_tensor
from parity.records.jobs import StageCall
from parity.records.tensors import TensorRecord
from parity.worker.binding import Binding
from parity.worker.flattening import Leaf
from parity.worker.problems import Unable
from parity.worker.reference_component import ReferenceComponent
from parity.worker.tensors import to_numpy, to_torch


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


class Stages(dict[str, "Stage"]):
    """What a pipeline gets as `stages`: each component by name, to be called with tensors.

    Args:
        components: all of the suite.
        recorder: None while a run is timed.
    """

    def __init__(self, components: Mapping[str, ReferenceComponent], recorder: Recorder | None) -> None:
        self.failure: Unable | None = None  # kept: a pipeline that catches everything must not hide it
        super().__init__({name: Stage(one, recorder, self) for name, one in components.items()})

    def __missing__(self, name: object) -> NoReturn:
        raise self.failed(
            Unable(
                "specification",
                f"the pipeline asks for the stage {name!r}; the components are {', '.join(map(repr, self))}",
                fix="use the names under 'components'",
            )
        )

    def failed(self, error: Unable) -> Unable:
        """Keeps the first failure and gives it back."""
        self.failure = self.failure or error
        return error


class Stage:
    """One component as a pipeline calls it: ``stages["encoder"](x)`` -> ``{ONNX output: tensor}``.

    Tensors are passed by position, in the order of the ONNX inputs, or by their names.
    """

    def __init__(self, component: ReferenceComponent, recorder: Recorder | None, stages: Stages) -> None:
        self._component, self._recorder, self._stages = component, recorder, stages

    def __call__(self, *args: Any, **kwargs: Any) -> dict[str, Leaf]:
        """Raises `Unable` when the arguments are not what the component takes, or it fails."""
        try:
            return self._call(args, kwargs)
        except Unable as error:
            self._stages.failed(error)
            raise

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Leaf]:
        component, recorder = self._component, self._recorder
        given = (*args, *kwargs.values())
        for value in given:
            if not isinstance(value, torch.Tensor):
                raise Unable(
                    "user-code",
                    f"the pipeline calls {component.whose} with an object of type {type(value).__qualname__}",
                    fix="pass tensors only: they are what an ONNX file takes",
                )
        names = component.names_of(len(args), list(kwargs))
        tensors = dict(zip(names, given, strict=True))
        # Tensors by position go to forward as they are; names decide only where some are given by name.
        binding = component.bind(names) if kwargs else component.by_position(names)
        folder, records = recorder.begin(tensors) if recorder else (None, ())
        leaves = component.run(binding, tensors, wait=recorder is not None)  # not while it is timed
        outputs = component.by_onnx_name(leaves)
        if recorder and folder:
            saved = save(outputs, folder / "outputs")
            recorder.end(component.name, binding, records, saved, tuple(outputs))
        on_device = {name: _on_device(leaf, component.device) for name, leaf in outputs.items()}
        return StageOutputs(on_device, component.whose, self._stages)


class StageOutputs(dict[str, Leaf]):
    """What a stage returns; asked for an output that is not there, it says which are."""

    def __init__(self, outputs: Mapping[str, Leaf], whose: str, stages: Stages) -> None:
        super().__init__(outputs)
        self._whose, self._stages = whose, stages

    def __missing__(self, name: object) -> NoReturn:
        raise self._stages.failed(
            Unable(
                "specification",
                f"the pipeline asks {self._whose} for the output {name!r}; "
                f"it has {', '.join(map(repr, self))}",
                fix="use the names of the ONNX outputs; 'outputs' maps them to the PyTorch result",
            )
        )


def _on_device(leaf: Leaf, device: torch.device) -> Leaf:
    """Arrays that the module made itself become tensors, but for strings, which have none."""
    return leaf if isinstance(leaf, torch.Tensor) or leaf.dtype.kind == "U" else to_torch(leaf, device)


def save(tensors: Mapping[str, Leaf], directory: Path) -> tuple[TensorRecord, ...]:
    """Writes tensors, from any device, into a folder; their order is kept."""
    return tuple(
        write_tensor(directory, name, to_numpy(leaf, name) if isinstance(leaf, torch.Tensor) else leaf)
        for name, leaf in tensors.items()
    )
