"""The ways in which an export error is explained, each for the outputs that it can explain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from msgspec import structs

from parity.diagnosis.tracing import Sketch
from parity.records.diagnosis import Cause

from .finding import Spot, expected_of
from .mending import Mended, Unit
from .subject import Subject

EXPLAINS = 0.5  # the share of an error from which on what was put right counts as its cause
_TELLING = 0.01  # the share of one unit from which on the error may start at it
_SAME = 1e-5  # relative distance within which two tensors are the same
_ANOTHER = 1e-3  # and beyond which they are not: what is right but for rounding is no other tensor


@dataclass(frozen=True)
class Explanation:
    """Why one output is off, and where that starts.

    Args:
        place: where; None where only the cause is known.
        causes: the one with the largest share first.
    """

    place: Spot | None
    causes: tuple[Cause, ...]


Explained = dict[str, Explanation]


def by_units(subject: Subject, units: Sequence[Unit], mended: Mended, least: float) -> Explained:
    """What was put right, for the outputs whose error is gone by a share of at least `least` then."""
    return {
        name: _by_units(subject, units, mended, name)
        for name, share in mended.shares.items()
        if share >= least
    }


def _by_units(subject: Subject, units: Sequence[Unit], mended: Mended, name: str) -> Explanation:
    shared = [(unit, single[name]) for unit, single in zip(units, mended.single, strict=True)]
    reaching = [each for each in shared if each[0].reaches(name)] or shared
    telling = [each for each in reaching if each[1] > _TELLING] or reaching
    ranked = sorted(telling, key=lambda each: -each[1])
    return Explanation(
        place=first_place(subject, [unit for unit, _ in telling], name, mended),
        causes=tuple(structs.replace(unit.cause, share=share) for unit, share in ranked),
    )


def first_place(subject: Subject, units: Sequence[Unit], name: str, mended: Mended | None) -> Spot | None:
    """The first of the file's nodes at which the error of an output may start."""
    graph = subject.graph_trace
    order = {op.node: op.index for op in graph.ops}
    spots = [start.spot for unit in units for start in unit.starts if name in start.outputs]
    spot = min(spots, key=lambda each: order.get(each.node, len(order)), default=None)
    if spot is None:  # what is wrong is that the output is another one's
        return _producing(subject, name, expected_of(graph, mended.trace, name) if mended else None)
    return replace(spot, expected=expected_of(graph, mended.trace, spot.output)) if mended else spot


def by_name(subject: Subject) -> Explained:
    """Outputs that are another output of the module."""
    explained = {}
    for name in subject.errors:
        found, wanted = _output(subject, name)
        if found is None or wanted is None or found.is_constant_value or _right(found, wanted):
            continue
        for other, index in subject.module_trace.outputs.items():
            theirs = subject.module_trace.tensors[index].sketch
            if other != name and theirs is not None and found.distance(theirs) < _SAME:
                explained[name] = _mistaken(
                    subject,
                    name,
                    wanted,
                    f"output {name!r} of the file is the module's {other!r}",
                    f"name the outputs in the module's order when exporting, or map {name!r} with 'outputs'",
                )
                break
    return explained


def by_order(subject: Subject) -> Explained:
    """Outputs that have the right values in another order or shape."""
    explained = {}
    for name in subject.errors:
        found, wanted = _output(subject, name)
        if found is None or wanted is None or found.is_constant_value:
            continue
        if found.shape != wanted.shape and found.distance(wanted) < _SAME:
            how = f"has shape {list(found.shape)}, the module's {list(wanted.shape)}: the values are right"
        elif found.same_values(wanted, _SAME) and not _right(found, wanted):
            how = "has the right values in another order: axes are transposed, or rows are sorted"
        else:
            continue
        remedy = "export again, or give the output in the module's layout"
        explained[name] = _mistaken(subject, name, wanted, f"output {name!r} {how}", remedy)
    return explained


def _mistaken(subject: Subject, name: str, wanted: Sketch, message: str, remedy: str) -> Explanation:
    place = _producing(subject, name, wanted)
    cause = Cause(
        kind="structure",
        leg="export",
        message=message,
        remedy=remedy,
        share=1.0,
        node=place.node if place else "",
        tensor=name,
    )
    return Explanation(place, (cause,))


def _producing(subject: Subject, name: str, expected: Sketch | None) -> Spot | None:
    """The node that gives an output."""
    index = subject.graph_trace.outputs.get(name)
    producer = None if index is None else subject.graph_trace.producer(index)
    return None if producer is None else Spot(producer.node, producer.op_type, name, expected)


def _output(subject: Subject, name: str) -> tuple[Sketch | None, Sketch | None]:
    """What an output is in the graph and in the module."""
    found, wanted = (
        None if (index := trace.outputs.get(name)) is None else trace.tensors[index].sketch
        for trace in (subject.graph_trace, subject.module_trace)
    )
    return found, wanted


def _right(found: Sketch, wanted: Sketch) -> bool:
    """Whether both are one tensor but for rounding, in one shape or another."""
    return found.distance(wanted) <= _ANOTHER
