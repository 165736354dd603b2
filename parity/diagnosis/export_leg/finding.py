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
    tensor = graph.by_name.get(place.output)
    found = tensor.sketch if tensor else None
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

    Tensors have the same names in both. One that is the same there was passed over: what its takers have
    instead is what it should have been. None where nothing stands for it.
    """
    seen: set[str] = set()
    while name not in seen:
        seen.add(name)
        found, wanted = graph.by_name.get(name), right.by_name.get(name)
        if found is None or found.sketch is None or wanted is None:
            return None
        if wanted.sketch is None or not _same(found.sketch, wanted.sketch):
            return wanted.sketch
        users = graph.consumers[found.index]
        if not users:
            return None
        twin = _by_node(right).get(users[0].node)
        slot = users[0].inputs.index(found.index)
        taken = twin.inputs[slot] if twin is not None and slot < len(twin.inputs) else None
        if taken is not None and right.tensors[taken].name != name:
            return right.tensors[taken].sketch
        outputs = [index for index in users[0].outputs if index is not None]
        if not outputs:
            return None
        name = graph.tensors[outputs[0]].name
    return None
