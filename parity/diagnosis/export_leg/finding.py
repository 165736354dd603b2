"""What the export leg's diagnosis finds, and how a place in the graph is described."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from parity.diagnosis.tracing import Sketch, Trace
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
    found = _sketch(graph, place.output)
    error = _apart(found, place.expected)
    return Divergence(
        leg="export",
        node=place.node,
        op_type=place.op_type,
        output=place.output,
        module=module,
        source=source,
        shape=found.shape if found else (),
        local_error=error,
        inherited_error=None if error is None else 0.0,
        expected=_statistics(place.expected),
        found=_statistics(found),
    )


def expected_of(graph: Trace, right: Trace, name: str) -> Sketch | None:
    """What a tensor should have been, given the trace of the graph that was put right.

    Tensors have the same names in both. One that is the same there was passed over: what its taker has
    instead is what it should have been. None where nothing stands for it.
    """
    found, wanted = (_sketch(trace, name) for trace in (graph, right))
    if found is None or wanted is None or not _same(found, wanted):
        return wanted
    passed = {op.node: op for op in right.ops}
    waiting = list(graph.consumers[graph.by_name[name].index])
    for user in waiting:  # of a pair, such as two casts, the second is the one that is not taken any more
        twin = passed.get(user.node)
        for here, there in zip(user.inputs, twin.inputs if twin else (), strict=False):
            if here is None or there is None or graph.tensors[here].name == right.tensors[there].name:
                continue
            instead = right.tensors[there].sketch
            if instead is not None and instead.shape == found.shape:
                return instead
        if user.op_type in _HANDING_ON:
            given = (index for index in user.outputs if index is not None)
            waiting += [each for index in given for each in graph.consumers[index]]
    return None


_HANDING_ON = ("Cast", "CastLike", "Identity", "DequantizeLinear")


def _sketch(trace: Trace, name: str) -> Sketch | None:
    tensor = trace.by_name.get(name)
    return tensor.sketch if tensor else None


def _same(one: Sketch, other: Sketch) -> bool:
    return one.shape == other.shape and one.distance(other) == 0.0


def _statistics(sketch: Sketch | None) -> Statistics | None:
    return sketch.statistics if sketch else None


def _apart(found: Sketch | None, expected: Sketch | None) -> float | None:
    """The root mean square of the difference, in the tensor's own unit; None where there is none."""
    if found is None or expected is None or found.shape != expected.shape:
        return None
    if found.statistics.nonfinite != expected.statistics.nonfinite:
        return None
    return found.rms_distance(expected) * max(found.rms, expected.rms)
