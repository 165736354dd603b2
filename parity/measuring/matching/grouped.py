"""A group of outputs, both sides of each -> the alignment of all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import numpy as np

from parity.artifacts import Array
from parity.records.matching import MatchGroup, MatchMember

from .alignment import Alignment, Indices, Side
from .candidates import TooAlike
from .ordering import TopK, align_sorted, align_topk
from .rows import Masks, align_batches

Sides = tuple[Array, Array]


class Unmatchable(Exception):
    """The tensors of a group don't belong together; the text says why."""


@dataclass(frozen=True)
class Grouped:
    """How all outputs of a group line up.

    Args:
        alignment: of units: rows, or single elements of what is sorted or a top k.
        widths: of each output, the elements of one unit.
        swapped: positions in the alignment; see `ordering.TopK`.
    """

    alignment: Alignment
    widths: Mapping[str, int]
    swapped: Indices

    def aligned(self, name: str, sides: Sides) -> Sides:
        """(units, width) of both sides, so that what is matched stands at the same place."""
        reference, candidate = (
            _units(side, self.widths[name])[at]
            for side, at in zip(sides, (self.alignment.reference, self.alignment.candidate), strict=True)
        )
        return reference, candidate


def align_group(group: MatchGroup, tensors: Mapping[str, Sides], spare: Masks | None = None) -> Grouped:
    """Lines a group up, of any kind but argmax, which compares elements where they are.

    Args:
        group: which outputs, how.
        tensors: reference and candidate of each, of one dtype.
        spare: rows that may be left without a counterpart; those are never paired beyond their bounds.

    Raises:
        Unmatchable: shapes do not belong together, or the bound tells hardly any rows apart.
    """
    none = np.zeros(0, np.intp)
    leader = group.members[0].output
    match group.kind:
        case "rows":
            try:
                rows = _rows(group, tensors, spare)
            except TooAlike:
                raise Unmatchable(
                    f"too many rows of {leader} are within its bound of too many others to tell them apart: "
                    "give it a smaller atol"
                ) from None
            return Grouped(rows, _widths(group, tensors), none)
        case "topk":
            found = _topk(group, tensors)
            return Grouped(found.alignment, dict.fromkeys(tensors, 1), found.swapped)
        case _:
            reference, candidate = tensors[leader]
            _check_axis(leader, reference, group.axis)
            if reference.dtype.kind == "c":
                raise Unmatchable(f"{leader} is complex: it has no order")
            return Grouped(align_sorted(reference, candidate, group.axis), {leader: 1}, none)


def _rows(group: MatchGroup, tensors: Mapping[str, Sides], spare: Masks | None) -> Alignment:
    axis = group.axis or 0
    counts = {name: tuple(side.shape[: axis + 1] for side in sides) for name, sides in tensors.items()}
    for name, sides in tensors.items():
        if min(side.ndim for side in sides) <= axis:
            raise Unmatchable(f"{name} has no axis {axis} for its rows: its shape is {list(sides[0].shape)}")
    first = group.members[0].output
    for side, whose in enumerate(("reference", "candidate")):
        for name, found in counts.items():
            if found[side] != counts[first][side]:
                raise Unmatchable(
                    f"rows of {first} and {name} do not belong together: in the {whose} their first axes are "
                    f"{list(counts[first][side])} and {list(found[side])}"
                )
    batches, widths = prod(counts[first][0][:-1]), _widths(group, tensors)
    stacked = {
        name: [side.reshape(batches, side.shape[axis], widths[name]) for side in sides]
        for name, sides in tensors.items()
    }
    return align_batches(
        [
            [_side(member, *(side[at] for side in stacked[member.output])) for member in group.members]
            for at in range(batches)
        ],
        spare,
    )


def _widths(group: MatchGroup, tensors: Mapping[str, Sides]) -> dict[str, int]:
    axis = group.axis or 0
    return {name: prod(sides[0].shape[axis + 1 :]) for name, sides in tensors.items()}


def _side(member: MatchMember, reference: Array, candidate: Array) -> Side:
    return Side(reference, candidate, member.atol, member.rtol, member.equal_nan)


def _topk(group: MatchGroup, tensors: Mapping[str, Sides]) -> TopK:
    values, indices = (member.output for member in group.members)
    axis = -1 if group.axis is None else group.axis
    _check_axis(values, tensors[values][0], axis)
    if tensors[values][0].shape != tensors[indices][0].shape:
        raise Unmatchable(f"{values} and {indices} have different shapes: they are no top k")
    if tensors[indices][0].dtype.kind not in "iu":
        raise Unmatchable(f"{indices} holds no whole numbers: they are no indices of a top k")
    bound = group.members[0]
    return align_topk(tensors[values], tensors[indices], axis, bound.atol or 0.0, bound.rtol or 0.0)


def _check_axis(name: str, array: Array, axis: int | None) -> None:
    if axis is not None and not -array.ndim <= axis < array.ndim:
        raise Unmatchable(f"{name} has no axis {axis}: its shape is {list(array.shape)}")


def _units(array: Array, width: int) -> Array:
    return array.reshape(prod(array.shape) // width if width else 0, width)
