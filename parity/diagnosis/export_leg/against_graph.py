"""Why a graph computes something else than another graph: ONNX against ONNX.

The reference's file takes the place of the fresh export that a module would give: what has changed is put
right from it, and counts as the cause by the share of the error that goes. A file in another precision
has changed throughout on purpose: that is said, and of a quantized one which tensor loses most (`quantized`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from google.protobuf.message import Error as ProtobufError
from msgspec import structs
from onnx import ModelProto
from torch import nn

from parity.diagnosis.graphs.comparing import Unmendable, compare
from parity.diagnosis.localizing import localize
from parity.diagnosis.matching import match
from parity.diagnosis.onnx64.constants import element_types, native_float, without_weights
from parity.records.diagnosis import Cause
from parity.worker.problems import Unable

from . import causes
from .conversion import type_name
from .explaining import EXPLAINS, Explained, Explanation, by_units
from .finding import ExportFinding, Spot, divergence
from .mending import measure
from .quantized import is_quantized, worst_pair
from .subject import Subject

NO_MODULE = nn.Module()
"""Stands in a `Subject` for the module that a graph does not have."""

_REMEDY = "take the change back, or give the output a tolerance for it if it is meant"
# What the steps raise on a graph that is odd. One of them must not end the others.
_ODD = (Unmendable, Unable, ProtobufError, OSError, ArithmeticError, LookupError, TypeError, ValueError)
T = TypeVar("T")


def diagnose_against_graph(subject: Subject, reference: ModelProto) -> ExportFinding:
    """Where each output's error starts, and what causes it.

    Args:
        subject: the candidate's graph; its `module_trace` and `reference64` are those of the reference's
            graph, with the candidate's names for the outputs, and its module is `NO_MODULE`.
        reference: the reference's model with all its data.
    """
    notes: list[str] = []

    def tried(doing: str, step: Callable[[], T]) -> T | None:
        try:
            return step()
        except _ODD as error:
            problem = error.problem if isinstance(error, Unable) else next(iter(str(error).splitlines()), "")
            notes.append(f"{doing} failed: {problem[:200]}")
            return None

    converted = _conversion(subject.model, reference)
    if converted is None:
        explained = tried("comparing the two graphs", lambda: _changed(subject, reference)) or {}
    elif is_quantized(subject.model):
        explained = tried("taking the worst pair out", lambda: worst_pair(subject, reference)) or {}
    else:
        explained = Explained()
    for name in subject.errors:
        if name not in explained:
            place = tried("matching the two graphs", partial(_located, subject, name))
            found = _unknown(place) if converted is None else _converted(converted, place)
            explained[name] = Explanation(place, found)
    return ExportFinding(
        divergences={
            name: divergence(subject.graph_trace, each.place, "", "")
            for name, each in explained.items()
            if each.place is not None
        },
        causes={name: each.causes for name, each in explained.items()},
        notes=tuple(dict.fromkeys(notes)),
    )


def _changed(subject: Subject, reference: ModelProto) -> Explained:
    """What differs, one by one, where it is not another graph throughout."""
    comparison = compare(subject.model, reference)
    if comparison.messy or not comparison.changes:
        return {}
    units = causes.of_changes(comparison.changes, {}, None, made_here=False)
    found = by_units(subject, units, measure(subject, units), EXPLAINS)
    return {
        name: Explanation(
            each.place, tuple(structs.replace(_worded(cause), remedy=_REMEDY) for cause in each.causes)
        )
        for name, each in found.items()
    }


def _worded(cause: Cause) -> Cause:
    message = cause.message.replace("a fresh export", "the reference's file")
    message = message.replace("changes since the export", "changes against the reference's file")
    return structs.replace(cause, message=message.replace("those of the checkpoint", "the reference's"))


def _located(subject: Subject, name: str) -> Spot | None:
    """The first node whose value the reference's graph never has."""
    graph, right = subject.graph_trace, subject.module_trace
    if name not in right.outputs:
        return None
    found = localize(graph, right, match(graph, right), name)
    if not found.suspects:
        return None
    first = found.suspects[0]
    expected = None if found.counterpart is None else right.tensors[found.counterpart].sketch
    return Spot(first.op.node, first.op.op_type, graph.tensors[first.tensor].name, expected)


def _conversion(model: ModelProto, reference: ModelProto) -> str | None:
    """What the candidate was converted to, in words; None where both files compute alike."""
    if is_quantized(model) and not is_quantized(reference):
        return "the candidate's file is quantized, the reference's is not"
    native, own = (native_float(each, element_types(without_weights(each))) for each in (model, reference))
    if native == own:
        return None
    return f"the candidate's file computes in {type_name(native)}, the reference's in {type_name(own)}"


def _converted(message: str, place: Spot | None) -> tuple[Cause, ...]:
    node = place.node if place else ""
    return (Cause(kind="precision", leg="export", message=message, remedy=causes.ROUNDED, node=node),)


def _unknown(place: Spot | None) -> tuple[Cause, ...]:
    if place is None:
        return ()
    cause = Cause(
        kind="unknown",
        leg="export",
        message=f"{place.node} ({place.op_type}) gives what no node of the reference's file gives",
        remedy="compare this node in both files",
        node=place.node,
    )
    return (cause,)
