"""Puts changes right, and measures by how much the export error shrinks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from onnx import ModelProto

from parity.diagnosis.graphs.comparing import Change, mend_all
from parity.diagnosis.tracing import Trace

from .subject import Subject, vanished

_ONE_BY_ONE = 4  # changes up to which each is measured by itself: an evaluation costs several forwards


@dataclass(frozen=True)
class Mended:
    """What is left of the export error once the changes are put right.

    Args:
        shares: of all changes together, by output: the part of the error that is gone.
        single: of each change by itself, in their order; empty where only all were measured.
        trace: of the graph with all of them put right.
    """

    shares: Mapping[str, float]
    single: Sequence[Mapping[str, float]]
    trace: Trace
    errors: Mapping[str, float] = field(default_factory=dict)


def measure(subject: Subject, changes: Sequence[Change]) -> Mended:
    """Evaluates the graph with all changes put right and, if they are few, with each of them alone."""
    errors, trace = subject.evaluate(mend_all(subject.model, changes))
    shares = _shares(subject, errors)
    if len(changes) == 1:
        return Mended(shares, [shares], trace, errors)
    single = [
        _shares(subject, subject.evaluate(change.mend(subject.model))[0])
        for change in (changes if len(changes) <= _ONE_BY_ONE else ())
    ]
    return Mended(shares, single, trace, errors)


def measure_model(subject: Subject, model: ModelProto) -> Mended:
    """The same for a model that is put right already."""
    errors, trace = subject.evaluate(model)
    return Mended(_shares(subject, errors), [], trace, errors)


def _shares(subject: Subject, errors: Mapping[str, float]) -> dict[str, float]:
    return {name: vanished(subject.errors[name], after) for name, after in errors.items()}
