"""What the export leg's diagnosis finds, and how a place in the graph is described."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from parity.diagnosis.tracing import Sketch, Trace, TracedTensor
from parity.records.diagnosis import Cause, Divergence, ModuleErrors, Statistics


@dataclass(frozen=True)
class ExportFinding:
    """By the ONNX outputs' names; what stays unexplained is in neither.

    Args:
        divergences: where each output's error starts.
        causes: the one with the largest share first.
        modules: of the component, in the order of the forward.
        notes: what could not be looked into, and why.
    """

    divergences: Mapping[str, Divergence] = field(default_factory=dict)
    causes: Mapping[str, tuple[Cause, ...]] = field(default_factory=dict)
    modules: tuple[ModuleErrors, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Spot:
    """A node of the file and the tensor that it gives, and what that tensor should have been."""

    node: str
    op_type: str
    output: str
    expected: Sketch | None = None


def divergence(graph: Trace, place: Spot, module: str, source: str) -> Divergence:
    """The place in the terms of a report."""
    tensor = graph.by_name.get(place.output)
    found = tensor.sketch if tensor else None
    return Divergence(
        leg="export",
        node=place.node,
        op_type=place.op_type,
        output=place.output,
        module=module,
        source=source,
        shape=found.shape if found else (),
        local_error=_apart(found, place.expected),
        inherited_error=0.0 if place.expected else None,
        expected=_statistics(place.expected),
        found=_statistics(found),
    )


def expected_of(trace: Trace, name: str) -> Sketch | None:
    """The sketch of a tensor by its name."""
    tensor: TracedTensor | None = trace.by_name.get(name)
    return tensor.sketch if tensor else None


def _statistics(sketch: Sketch | None) -> Statistics | None:
    return sketch.statistics if sketch else None


def _apart(found: Sketch | None, expected: Sketch | None) -> float | None:
    """The root mean square of the difference, in the tensor's own unit."""
    if found is None or expected is None or found.size != expected.size:
        return None
    return found.rms_distance(expected) * max(found.rms, expected.rms)
