"""What local errors do to the outputs: the graph in float64 once more, with some results replaced."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from parity.artifacts import Array
from parity.diagnosis.onnx64 import Graph64
from parity.diagnosis.onnx64.execution import Step
from parity.diagnosis.onnx64.values import Value
from parity.diagnosis.precision import ROUNDINGS
from parity.diagnosis.runtime_leg.backend import UNOPTIMIZED, Backend
from parity.diagnosis.runtime_leg.grouping import Group
from parity.diagnosis.runtime_leg.hypotheses import round_factors
from parity.diagnosis.runtime_leg.isolation import FLOAT_TYPES, CannotIsolate, element_type, isolate
from parity.worker.problems import Unable

Outputs = Mapping[str, Array]


def with_local_errors(graph: Graph64, backend: Backend, feeds: Mapping[str, Array], group: Group) -> Outputs:
    """The outputs when just the nodes of a group compute as the runtime does, and all others exactly.

    Where the rounding of their operands reproduces them, they are computed so; else by the runtime itself.
    A node that can't be computed so stays exact.
    """
    off = {id(one.node) for one in group.nodes}

    def replace(step: Step) -> None:
        if id(step.node) not in off:
            return
        if group.form is not None:
            rounded = round_factors(step.node, step.inputs, ROUNDINGS[group.form])
            results: Sequence[Value] = graph.apply(step.node, rounded)
            step.outputs.update(_tensors(zip(step.node.outputs, results, strict=False)))
            return
        try:
            isolated = isolate(step)
            found = backend.open(isolated.model, UNOPTIMIZED)(isolated.feeds)
        except (CannotIsolate, Unable):
            return
        for name, array in found.items():
            exact = step.outputs.get(name)
            if isinstance(exact, Tensor) and exact.is_floating_point():
                step.outputs[name] = torch.from_numpy(array.astype("float64")).to(exact.device)

    return _outputs(graph, feeds, replace)


def with_rounded_results(graph: Graph64, feeds: Mapping[str, Array]) -> Outputs:
    """The outputs when every result is rounded to its type in the file: a sample of ordinary rounding."""

    def replace(step: Step) -> None:
        for name, value in step.outputs.items():
            if isinstance(value, Tensor) and value.is_floating_point():
                dtype = FLOAT_TYPES[element_type(step.node, name)]
                step.outputs[name] = value.to(dtype).to(torch.float64)

    return _outputs(graph, feeds, replace)


def _tensors(results: Iterable[tuple[str, Value]]) -> dict[str, Value]:
    return {name: value for name, value in results if name and isinstance(value, Tensor)}


def _outputs(graph: Graph64, feeds: Mapping[str, Array], replace: Callable[[Step], None]) -> Outputs:
    outputs = graph.run(feeds, replace).outputs
    return {
        name: value for name, value in outputs.items() if value is not None and not isinstance(value, list)
    }


@dataclass(frozen=True)
class Effect:
    """What local errors do to an output, beside what is wrong with it.

    Args:
        share: of its error that they reproduce element by element, 1 - rms(found - replayed) / rms(error).
        size: of the error that they make, in units of its error; both as root mean squares.
    """

    share: float
    size: float


def effect(found: Array, exact: Array, replayed: Array) -> Effect:
    """Compares three results of one output; no effect where they don't agree on what is finite."""
    wide = found.astype(np.float64)
    if not found.shape == exact.shape == replayed.shape:
        return Effect(0.0, 0.0)
    if not (np.isfinite(replayed) == np.isfinite(wide)).all():
        return Effect(0.0, 0.0)
    if not (np.isfinite(exact) == np.isfinite(wide)).all():
        return Effect(1.0, 1.0)  # the error is that it is not finite, and so is the other
    both = np.isfinite(exact)
    error = _rms(wide[both] - exact[both])
    if not error > 0.0:
        return Effect(0.0, 0.0)
    left, made = _rms(wide[both] - replayed[both]), _rms(replayed[both] - exact[both])
    return Effect(max(0.0, 1.0 - left / error), made / error)


def _rms(array: Array) -> float:
    return float(np.sqrt(np.mean(np.square(array)))) if array.size else 0.0
