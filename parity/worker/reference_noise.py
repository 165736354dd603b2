"""Noise floors: how far the reference's own arithmetic is from its exact result, on the inputs of a run.

A component's call is evaluated in float64 by itself. A chain is evaluated as one module that holds all
components, so that the user's code between them sees, and computes in, float64 as well.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from parity.artifacts import Array, read_tensor
from parity.diagnosis import torch64
from parity.diagnosis.budget import Result, difference
from parity.records.outcomes import NoiseFloors
from parity.records.requests import MeasureNoise
from parity.records.tensors import TensorRecord
from parity.worker import numerics
from parity.worker.binding import Tensors
from parity.worker.evaluations import attempt
from parity.worker.flattening import Leaf, flatten
from parity.worker.modules import release, running, synchronize
from parity.worker.problems import Unable
from parity.worker.reference_component import ReferenceComponent
from parity.worker.reference_stages import Stages
from parity.worker.tensors import to_numpy

Leaves = Mapping[str, Leaf]
Read = Callable[[tuple[TensorRecord, ...]], Tensors]


class _Subject(Protocol):
    """What is evaluated; its outputs are named as the reference's records of it."""

    @property
    def whose(self) -> str: ...
    def native(self, tensors: Tensors) -> Leaves: ...
    def in_float64(self, tensors: Tensors) -> Leaves: ...


def measure_noise(
    request: MeasureNoise,
    components: Mapping[str, ReferenceComponent],
    pipeline: Callable[..., Any] | None,
    device: torch.device,
    read: Read,
) -> NoiseFloors:
    """The floor of each output, or why it has none; whatever the user's code does, every output has either.

    Args:
        request: what ran, and what came out.
        components: all of the suite, ready to run under its numerics.
        pipeline: the user's function; None in a suite of one model.
        device: of the components.
        read: gives new tensors on the device, which a forward may write to.

    Raises:
        Unable: ``tool``; there is no such component, or no chain.
        CannotJudge: a saved tensor can't be read.
    """
    start = time.perf_counter()
    varied = any(one.variant is not None for one in components.values())
    subject = _subject(request, {name: one.plain for name, one in components.items()}, pipeline, device)
    try:
        strict = _under_strict_numerics(request, subject, device, read, again=varied)
        exact = attempt(
            lambda: _arrays(subject.in_float64(read(request.inputs))),
            "evaluated in float64",
            subject.whose,
            device,
        )
    finally:
        release()
    floors = {record.name: _floor(record, strict, exact) for record in request.outputs}
    return NoiseFloors(floors=floors, seconds=time.perf_counter() - start)


def _subject(
    request: MeasureNoise,
    components: Mapping[str, ReferenceComponent],
    pipeline: Callable[..., Any] | None,
    device: torch.device,
) -> _Subject:
    if request.component is None:
        if pipeline is None:
            raise Unable("tool", "the suite has no pipeline")
        return _Chain(components, pipeline, device)
    component = components.get(request.component)
    if component is None:
        raise Unable("tool", f"the reference has no component {request.component!r}")
    return _Call(component, by_onnx_name=pipeline is not None)


def _under_strict_numerics(
    request: MeasureNoise, subject: _Subject, device: torch.device, read: Read, *, again: bool
) -> Mapping[str, Array] | str | None:
    """The outputs by name, or why there are none; None where the recorded ones are of strict numerics.

    With `again` they are not, whatever the settings say: a variant of the modules has run.
    """
    with numerics.strict() as others_in_force:
        if not (others_in_force or again):
            return None
        return attempt(
            lambda: _arrays(subject.native(read(request.inputs))),
            "run under strict numerics",
            subject.whose,
            device,
        )


def _floor(
    record: TensorRecord, strict: Mapping[str, Array] | str | None, exact: Mapping[str, Array] | str
) -> float | str:
    own = read_tensor(record) if strict is None else _named(strict, record.name)
    found = difference(own, _named(exact, record.name))
    if found.reason:
        return found.reason
    return found.greatest if math.isfinite(found.greatest) else "the difference to float64 is not finite"


def _named(results: Mapping[str, Array] | str, name: str) -> Result:
    if isinstance(results, str):
        return results
    found = results.get(name)
    return f"the result has no {name!r} when it is computed once more" if found is None else found


def _arrays(leaves: Leaves) -> dict[str, Array]:
    """Memory of their own: a module may hand out a buffer that its next run writes to."""
    return {
        name: (to_numpy(leaf, name) if isinstance(leaf, torch.Tensor) else leaf).copy()
        for name, leaf in leaves.items()
    }


@dataclass(frozen=True)
class _Call:
    """One call of a component; with `by_onnx_name`, its recorded outputs have the names of the ONNX file."""

    component: ReferenceComponent
    by_onnx_name: bool

    @property
    def whose(self) -> str:
        return self.component.whose

    def native(self, tensors: Tensors) -> Leaves:
        return self._named(self.component.run(self.component.bind(tensors), tensors))

    def in_float64(self, tensors: Tensors) -> Leaves:
        args, kwargs = self.component.bind(tensors).arguments(tensors)
        return self._named(_exact(self.component.module, args, kwargs, self.whose))

    def _named(self, leaves: dict[str, Leaf]) -> Leaves:
        return self.component.by_onnx_name(leaves) if self.by_onnx_name else leaves


@dataclass(frozen=True)
class _Chain:
    """The pipeline as a whole."""

    components: Mapping[str, ReferenceComponent]
    pipeline: Callable[..., Any]
    device: torch.device
    whose: str = "the pipeline"

    def native(self, tensors: Tensors) -> Leaves:
        module = _PipelineModule(self.components, self.pipeline)
        with running(f"running the pipeline with PyTorch stages on {self.device}", self.device):
            result = module(dict(tensors))
            synchronize(self.device)
        return flatten(result, origin=self.whose)

    def in_float64(self, tensors: Tensors) -> Leaves:
        return _exact(_PipelineModule(self.components, self.pipeline), (dict(tensors),), {}, self.whose)


class _PipelineModule(torch.nn.Module):
    """A pipeline as a module of its components, so that one evaluation in float64 covers all of it."""

    def __init__(self, components: Mapping[str, ReferenceComponent], pipeline: Callable[..., Any]) -> None:
        super().__init__()
        self.modules_of_components = torch.nn.ModuleList(one.module for one in components.values())
        self.pipeline, self.components = pipeline, components
        self.training = False

    def forward(self, tensors: dict[str, torch.Tensor]) -> object:
        stages = Stages(self.components, None)
        try:
            result: object = self.pipeline(stages, tensors)
            if stages.failure is not None:  # the user's code has caught it
                raise stages.failure
        except Unable as error:
            raise error.__cause__ or error from None  # the reason itself, as if there were no fence around it
        return result


def _exact(
    module: torch.nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], whose: str
) -> dict[str, Leaf]:
    result = torch64.evaluate64(module, args, kwargs)
    if result.random_ops:
        raise torch64.Unknown(f"{', '.join(result.random_ops)} draws random numbers")
    if result.native is torch.float64:
        raise torch64.Unknown(f"{whose} computes in float64 itself, which can't show its own rounding")
    return result.outputs
