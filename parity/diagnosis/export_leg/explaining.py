"""The ways in which an export error is explained, each for the outputs that it can explain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from parity.diagnosis.graphs.comparing import Change, Unmendable
from parity.diagnosis.initializers.findings import Finding, altered, summary
from parity.diagnosis.tracing import Sketch, Trace
from parity.records.diagnosis import Cause

from . import causes
from .finding import Spot, expected_of
from .mending import Mended, measure, measure_model
from .subject import Subject

EXPLAINS = 0.5  # the share of an error from which on what was put right counts as its cause
_TELLING = 0.01  # the share of one change from which on the error may start at it
_ANOTHER = 100.0  # times that: two tensors are not the same
_SAME = 1e-5  # relative distance within which two tensors are the same


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


def by_changes(
    subject: Subject, changes: Sequence[Change], parameters: Mapping[str, str]
) -> tuple[Explained, Mended | None]:
    """Changes of the file since a fresh export: those that take the error away when they are put right.

    `parameters` has the module's parameter of each initializer that comes from one.
    """
    try:
        mended = measure(subject, changes)
    except Unmendable:
        return {}, None
    explained = {
        name: _by_changes(name, changes, mended, parameters)
        for name, share in mended.shares.items()
        if share >= EXPLAINS
    }
    return explained, mended


def _by_changes(
    name: str, changes: Sequence[Change], mended: Mended, parameters: Mapping[str, str]
) -> Explanation:
    reaching = [number for number, change in enumerate(changes) if name in change.outputs] or list(
        range(len(changes))
    )
    chosen = [changes[number] for number in reaching]
    singles = [mended.single[number][name] for number in reaching] if mended.single else []
    starts = [change for change, share in zip(chosen, singles, strict=False) if share > _TELLING] or chosen
    return Explanation(
        place=place_of(starts[0], mended.trace),
        causes=causes.of_changes(chosen, singles, mended.shares[name], parameters),
    )


def place_of(change: Change, right: Trace | None) -> Spot:
    """Where a change is; `right` is the trace of the graph without it."""
    expected = expected_of(right, change.output) if right else None
    return Spot(change.node, change.op_type, change.output, expected)


def repair(subject: Subject, findings: Sequence[Finding]) -> Mended | None:
    """The graph with the checkpoint's initializers where it has others; None where it has none."""
    model = subject.model
    wrong = altered(findings)
    for finding in wrong:
        model = finding.mend(model)
    return measure_model(subject, model) if wrong else None


def by_initializers(
    subject: Subject, findings: Sequence[Finding], repaired: Mended, least: float
) -> Explained:
    """Initializers that are not the checkpoint's, where they explain at least a share of `least`."""
    wrong, reason = altered(findings), summary(findings)
    return {
        name: Explanation(
            _first_reader(subject, wrong, repaired.trace), causes.of_findings(wrong, share, reason)
        )
        for name, share in repaired.shares.items()
        if share >= least
    }


def _first_reader(subject: Subject, wrong: Sequence[Finding], right: Trace) -> Spot | None:
    """The first node that takes one of these initializers."""
    readers = {node for finding in wrong for node in finding.nodes}
    for op in subject.graph_trace.ops:
        if op.node in readers and op.outputs and op.outputs[0] is not None:
            output = subject.graph_trace.tensors[op.outputs[0]].name
            return Spot(op.node, op.op_type, output, expected_of(right, output))
    return None


def by_order(subject: Subject) -> Explained:
    """Outputs that are another output of the module, or that have their values in another order."""
    explained = {}
    for name in subject.errors:
        found = _sketch(subject.graph_trace, name)
        wanted = _sketch(subject.module_trace, name)
        if found is None or wanted is None:
            continue
        said = _mistaken(subject, name, found, wanted)
        if said is None:
            continue
        message, remedy = said
        producer = subject.graph_trace.producer(subject.graph_trace.outputs[name])
        place = Spot(producer.node, producer.op_type, name, wanted) if producer else None
        cause = Cause(
            kind="structure",
            leg="export",
            message=message,
            remedy=remedy,
            share=1.0,
            node=producer.node if producer else "",
            tensor=name,
        )
        explained[name] = Explanation(place, (cause,))
    return explained


def _mistaken(subject: Subject, name: str, found: Sketch, wanted: Sketch) -> tuple[str, str] | None:
    """What an output is instead, and what to do about it; None where it is nothing that is known."""
    if found.is_constant_value or found.distance(wanted) <= _ANOTHER * _SAME:
        return None  # what is right but for rounding is no other tensor
    for other in subject.module_trace.outputs:
        theirs = _sketch(subject.module_trace, other)
        if other != name and theirs is not None and found.distance(theirs) < _SAME:
            return (
                f"output {name!r} of the file is the module's {other!r}",
                f"name the outputs in the module's order when exporting, or map {name!r} with 'outputs'",
            )
    if found.same_values(wanted, _SAME):
        return (
            f"output {name!r} has the right values in another order: axes are transposed, or rows are sorted",
            "export again, or give the output in the module's layout",
        )
    return None


def _sketch(trace: Trace, output: str) -> Sketch | None:
    index = trace.outputs.get(output)
    return None if index is None else trace.tensors[index].sketch
