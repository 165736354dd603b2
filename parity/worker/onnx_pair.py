"""Two ONNX files of one component, of which one is the reference: what runs, and what it is in float64."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import TypeVar

import torch
from msgspec.structs import replace

from parity.artifacts import Array, read_tensor
from parity.diagnosis.budget import Result, difference
from parity.diagnosis.onnx64 import Evaluation, Graph64
from parity.records.jobs import Numerics, OnnxRuntimeOptions
from parity.records.outcomes import NoiseFloors
from parity.records.requests import MeasureNoise
from parity.worker.candidate_diagnosis import OrtBackend, workspace
from parity.worker.casting import cast_feeds
from parity.worker.onnx_files import read_signature
from parity.worker.problems import Unable

Feeds = Mapping[str, Array]
T = TypeVar("T")


@dataclass(frozen=True)
class GraphPair:
    """Two ONNX files of one component, and the session that is the reference.

    Args:
        reference: path of its file.
        candidate: path of the other's.
        run: the reference's session as the user runs it, by the names of its file's inputs.
        device: of the reference, where graphs are evaluated too.
        numerics: of the suite.
        options: of the reference, which win over `numerics`.
    """

    reference: str
    candidate: str
    run: Callable[[Feeds], dict[str, Array]]
    device: str
    numerics: Numerics
    options: OnnxRuntimeOptions

    @property
    def strict(self) -> tuple[Numerics, OnnxRuntimeOptions] | None:
        """The reference's settings for its noise floor; None where it runs under these already.

        Without graph optimization and TF32, on the device's own provider: full float32 arithmetic.
        """
        level = self.options.optimization or self.numerics.optimization
        full = self.device == "cpu" or self.numerics.tf32 is False
        plain = not (self.options.provider or self.options.provider_options or self.options.session_config)
        if level == "disable_all" and full and plain:
            return None
        return replace(self.numerics, tf32=False), OnnxRuntimeOptions(optimization="disable_all")

    def run_strictly(self, feeds: Feeds) -> dict[str, Array] | None:
        """The reference under strict settings; None where it runs under these already.

        Raises:
            Unable: it does not.
        """
        if self.strict is None:
            return None
        with workspace() as folder:
            return dict(OrtBackend(self.device, *self.strict, folder).open(self.reference)(feeds))


def noise_floors(request: MeasureNoise, pair: GraphPair, feeds: Feeds) -> NoiseFloors:
    """The greatest difference of the reference under strict settings from its graph in float64."""
    start = time.perf_counter()
    exact = attempted(lambda: outputs_of(Graph64(pair.reference, pair.device).run(feeds)))
    strict = attempted(lambda: pair.run_strictly(feeds))
    floors: dict[str, float | str] = {}
    for record in request.outputs:
        own = read_tensor(record) if strict is None else named(strict, record.name)
        found = difference(own, named(exact, record.name))
        known = not found.reason and isfinite(found.greatest)
        floors[record.name] = found.greatest if known else found.reason or "the difference is not finite"
    return NoiseFloors(floors=floors, seconds=time.perf_counter() - start)


def by_file(path: str, feeds: Feeds) -> dict[str, Array]:
    """Feeds of the reference as another file takes them: by name where these are the same, else by order."""
    inputs, _ = read_signature(path)
    declared = [value.name for value in inputs]
    if set(declared) != set(feeds) and len(declared) == len(feeds):
        feeds = dict(zip(declared, feeds.values(), strict=True))
    return cast_feeds(feeds, inputs)


def outputs_of(evaluation: Evaluation) -> dict[str, Result]:
    """What an evaluation gives for each output, or why it gives nothing."""
    found: dict[str, Result] = dict(evaluation.unknown)
    for name, value in evaluation.outputs.items():
        if value is None or isinstance(value, list):
            found[name] = f"the graph has no tensor {name!r} in float64"
        else:
            found[name] = value
    return found


def named(results: Mapping[str, Result] | Mapping[str, Array] | str | None, name: str) -> Result:
    """The one of that name, or why there is none."""
    if isinstance(results, str):
        return results
    found = None if results is None else results.get(name)
    return f"there is no output {name!r} when it is computed once more" if found is None else found


def attempted(evaluation: Callable[[], T]) -> T | str:
    """What an evaluation gives, or why it gives nothing."""
    try:
        return evaluation()
    except Unable as error:
        return error.problem
    except (MemoryError, torch.OutOfMemoryError):
        return "there is not enough memory to evaluate it"
