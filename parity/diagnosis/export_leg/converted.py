"""Files that compute in another precision than their module, where that alone is why an output is off."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from parity.diagnosis.graphs.reexport import FreshExport
from parity.diagnosis.tracing import Trace

from .conversion import Conversion, first_quantizing, narrowed
from .evidence import Evidence
from .explaining import EXPLAINS, Explained, Explanation
from .finding import Spot
from .mending import measure_model
from .subject import NO_TRACE, Subject

_LIKEWISE = 10.0  # times the error that a conversion makes: what is more has another cause


def by_conversion(
    subject: Subject, of: Evidence, located: Callable[[str, Trace | None], Spot | None]
) -> Explained:
    """The precision, where the error is no larger than the conversion of a right file makes it.

    Args:
        subject: the file and its module.
        of: what is known of them.
        located: an output's first suspect, given the trace of a right export.
    """
    converted, fresh = of.conversion, of.fresh if of.conversion else None
    if converted is None or fresh is None:
        return {}
    right = of.tried("evaluating a fresh export", lambda: measure_model(subject, fresh.model))
    if right is None:
        return {}
    likewise = _likewise(subject, of, converted, fresh)
    explained = {}
    for name, error in subject.errors.items():
        share = right.shares[name]
        if share >= EXPLAINS and name in likewise and error <= _LIKEWISE * likewise[name]:
            if converted.native is None:
                place = first_quantizing(subject.graph_trace, right.trace, name)
            else:
                place = located(name, right.trace)
            cause = converted.cause(share, place.node if place else "")
            explained[name] = Explanation(place, (cause,))
    return explained


def without_error(subject: Subject, converted: Conversion) -> Explained:
    """The precision, for the outputs whose error could not be measured."""
    explained = {}
    for name in subject.unmeasured:
        quantized = converted.native is None
        place = first_quantizing(subject.graph_trace, NO_TRACE, name) if quantized else None
        explained[name] = Explanation(place, (converted.cause(None, place.node if place else ""),))
    return explained


def _likewise(
    subject: Subject, of: Evidence, converted: Conversion, fresh: FreshExport
) -> Mapping[str, float]:
    """The errors that a right file has once it is converted; of a quantized one they are not known."""
    native = converted.native
    if native is None:
        of.notes.append("quantization may hide another fault: check the file before it, too")
        return subject.errors
    model = of.tried("converting a fresh export", lambda: narrowed(fresh.model, native))
    found = of.tried("evaluating it", lambda: subject.evaluate(model)) if model is not None else None
    return found[0] if found else {}
