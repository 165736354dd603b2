"""Results of outputs that are matched, all in one order: a leg between two orders would be no error at all.

Everything is put in the order of the reference. What can't be, says why, and its legs are unknown: a pair of
rows that might as well be others is no difference to report.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from parity.artifacts import Array
from parity.diagnosis.budget import Result, Results
from parity.measuring.matching import Unmatchable, align_group
from parity.records.matching import MatchGroup

_Arrays = dict[str, Array]


def aligned(results: Mapping[str, Results], groups: Iterable[MatchGroup]) -> dict[str, Results]:
    """The results with those of each group in the order of the reference.

    Where the candidate has more or fewer rows, both sides stay as they are, which makes the total unknown;
    the graph in float64 and the candidate's second run are then put in the order of the candidate. Where it
    is not sure which row is which, the total is the one that was judged, and the legs are unknown.
    """
    found = dict(results)
    for group in _moving(groups):
        names = [member.output for member in group.members]
        found.update(_aligned({name: found[name] for name in names}, group))
    return found


def graph_order(results: Mapping[str, Results], groups: Iterable[MatchGroup]) -> dict[str, Result]:
    """The module in float64 as the graph in float64 orders it, to hold other graphs of its kind against.

    Args:
        results: as they were computed.
        groups: of outputs that are matched.
    """
    found: dict[str, Result] = {name: each.reference64 for name, each in results.items()}
    for group in _moving(groups):
        own = {name: each for name, each in results.items() if name in _names(group)}
        ordered = in_order_of(group, _field(own, "candidate64"), _field(own, "reference64"))
        found.update({name: _of(ordered, name) for name in own})
    return found


def in_order_of(
    group: MatchGroup, anchor: Mapping[str, Result], other: Mapping[str, Result], *, sure: bool = True
) -> _Arrays | str:
    """All outputs of `other` with what belongs to each place of `anchor` there, or why that can't be told.

    Args:
        group: how they are matched.
        anchor: results by the names of all its members.
        other: the same of another evaluation.
        sure: whether pairs that might as well be others are a reason, too.
    """
    pairs: dict[str, tuple[Array, Array]] = {}
    for name, own in anchor.items():
        theirs = other[name]
        if isinstance(own, str) or isinstance(theirs, str):
            return own if isinstance(own, str) else str(theirs)
        pairs[name] = (own, theirs)
        if group.kind != "rows" and own.shape != theirs.shape:
            return f"the two evaluations gave different shapes: {list(own.shape)} and {list(theirs.shape)}"
    try:
        grouped = align_group(group, pairs)
    except Unmatchable as error:
        return f"two evaluations can't be put in one order: {error}"
    found = grouped.alignment
    rows = found.reference.size + found.lone_reference.size
    if without := max(found.lone_reference.size, found.lone_candidate.size):
        return f"{without} rows of one of two evaluations have no counterpart in the other, of {rows}"
    if found.guessed and sure:
        return f"{found.guessed} of {rows} rows might be several others of another evaluation"
    places = found.candidate[np.argsort(found.reference)]
    return {
        name: theirs.reshape(rows, prod(own.shape) // rows if rows else 0)[places].reshape(own.shape)
        for name, (own, theirs) in pairs.items()
    }


def _aligned(results: Mapping[str, Results], group: MatchGroup) -> dict[str, Results]:
    reference, candidate = _field(results, "reference"), _field(results, "candidate")
    ordered = in_order_of(group, reference, candidate, sure=False)
    onnx = candidate if isinstance(ordered, str) else reference
    changed: dict[str, _Arrays | str] = {
        name: in_order_of(group, anchor, _field(results, name))
        for name, anchor in (
            ("reference64", reference),
            ("reference_again", reference),
            ("candidate64", onnx),
            ("candidate_again", onnx),
        )
    }
    if all(each.strict is not None for each in results.values()):
        changed["strict"] = in_order_of(group, reference, _field(results, "strict"))
    if not isinstance(ordered, str):
        changed["candidate"] = ordered
        unsure = in_order_of(group, reference, candidate)
        if isinstance(unsure, str):
            changed["candidate64"] = unsure
    return {
        name: replace(each, **{field: _of(value, name) for field, value in changed.items()})
        for name, each in results.items()
    }


def _moving(groups: Iterable[MatchGroup]) -> list[MatchGroup]:
    """Those in which anything may be at another place."""
    return [group for group in groups if group.kind != "argmax"]


def _names(group: MatchGroup) -> set[str]:
    return {member.output for member in group.members}


def _field(results: Mapping[str, Results], name: str) -> dict[str, Result]:
    return {output: getattr(each, name) for output, each in results.items()}


def _of(value: _Arrays | str, name: str) -> Any:  # a `Result`, of which some fields take arrays alone
    return value if isinstance(value, str) else value[name]
