"""Puts changes right, and measures by how much the export error shrinks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf

from onnx import ModelProto, numpy_helper

from parity.diagnosis.graphs.comparing import Change, Unmendable, mend_all
from parity.diagnosis.initializers.findings import Finding
from parity.diagnosis.initializers.tensors import constants
from parity.diagnosis.onnx64.constants import graphs
from parity.diagnosis.tracing import Trace
from parity.records.diagnosis import Cause

from .finding import Spot
from .subject import Subject, vanished

_ADD_UP = 0.5  # of the share of all: less, and each alone hides behind the others


@dataclass(frozen=True)
class Start:
    """Where in the file something is wrong, and which of the graph's outputs that can reach."""

    spot: Spot
    outputs: frozenset[str]


@dataclass(frozen=True)
class Unit:
    """What is put right, and measured, as one thing.

    Args:
        cause: what it is, without a share.
        edits: what puts it right.
        starts: where it is, in the order of the file.
    """

    cause: Cause
    edits: tuple[Change, ...] | tuple[Finding, ...]
    starts: tuple[Start, ...]

    def reaches(self, output: str) -> bool:
        """Whether an output of the graph can depend on it."""
        return any(output in start.outputs for start in self.starts)


@dataclass(frozen=True)
class Mended:
    """What is left of the export error once everything is put right.

    Args:
        shares: by output: the part of the error that is gone.
        single: of each unit: the part that goes with it alone, or that it alone makes.
        trace: of the graph with all of them put right.
    """

    shares: Mapping[str, float]
    single: Sequence[Mapping[str, float]]
    trace: Trace


def measure(subject: Subject, units: Sequence[Unit]) -> Mended:
    """Evaluates the graph with all units put right, and with each of them alone.

    Raises:
        Unmendable: they can't be put right.
        Unable: the graph can't be evaluated then.
    """
    errors, trace = subject.evaluate(_put_right(subject.model, units))
    shares = _shares(subject, errors)
    if len(units) == 1:
        return Mended(shares, [shares], trace)
    single = [_alone(subject, [unit]) for unit in units]
    if any(sum(each[name] for each in single) < _ADD_UP * share for name, share in shares.items()):
        single = [_reproduced(subject, units, place, each) for place, each in enumerate(single)]
    return Mended(shares, single, trace)


def measure_model(subject: Subject, model: ModelProto) -> Mended:
    """The same for a model that is right as a whole.

    Raises:
        Unable: it can't be evaluated.
    """
    errors, trace = subject.evaluate(model)
    return Mended(_shares(subject, errors), [], trace)


def mend_initializers(model: ModelProto, findings: Sequence[Finding]) -> ModelProto:
    """A copy of a model with other values in these constants; their external data may be left out."""
    expected = {each.name: each.expected for each in findings}
    copy = ModelProto()
    copy.CopyFrom(model)
    for graph in graphs(copy.graph):
        for name, tensor in constants(graph):
            value = expected.get(name)
            if value is not None:
                tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))
    return copy


def _put_right(model: ModelProto, units: Sequence[Unit]) -> ModelProto:
    edits = [edit for unit in units for edit in unit.edits]
    changes = [edit for edit in edits if isinstance(edit, Change)]
    findings = [edit for edit in edits if isinstance(edit, Finding)]
    if changes:
        model = mend_all(model, changes)
    return mend_initializers(model, findings) if findings else model


def _alone(subject: Subject, units: Sequence[Unit]) -> dict[str, float]:
    """The share that goes with these units; none where they can't be put right without the others."""
    try:
        errors, _ = subject.evaluate(_put_right(subject.model, units))
    except Unmendable:
        return dict.fromkeys(subject.errors, 0.0)
    return _shares(subject, errors)


def _reproduced(
    subject: Subject, units: Sequence[Unit], place: int, gone: Mapping[str, float]
) -> dict[str, float]:
    """The share that one unit makes alone, all others being right; at least what goes with it."""
    try:
        errors, _ = subject.evaluate(_put_right(subject.model, [*units[:place], *units[place + 1 :]]))
    except Unmendable:
        return dict(gone)
    return {name: max(gone[name], _made(before, errors[name])) for name, before in subject.errors.items()}


def _made(before: float, alone: float) -> float:
    if before == inf or not before > 0.0:
        return float(alone == inf)
    return min(1.0, alone / before)


def _shares(subject: Subject, errors: Mapping[str, float]) -> dict[str, float]:
    return {name: vanished(subject.errors[name], after) for name, after in errors.items()}
