"""What found no counterpart or decided otherwise, in words: the first few of each, with their values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from parity.artifacts import Array
from parity.measuring.matching import Decisions, Grouped, Masks, Sides
from parity.records.matching import MatchGroup

MOST = 5
_VALUES = 8  # of a row that are shown


def lone_rows(
    group: MatchGroup, tensors: Mapping[str, Sides], grouped: Grouped, spare: Masks | None
) -> Iterator[str]:
    """Rows without a counterpart, with their values in every output; those that need one first."""
    lone = (grouped.alignment.lone_reference, grouped.alignment.lone_candidate)
    found = sorted(
        (spare is not None and bool(spare[side][unit]), side, int(unit))
        for side, units in enumerate(lone)
        for unit in units
    )
    leader = tensors[group.members[0].output]
    for is_spare, side, unit in found[:MOST]:
        whose, optional = ("reference", "candidate")[side], ", which is optional" if is_spare else ""
        place = _place(unit, leader[side].shape[: (group.axis or 0) + 1])
        rows = {name: _row(each[side], unit, grouped.widths[name]) for name, each in tensors.items()}
        values = ", ".join(f"{name} {row}" if len(rows) > 1 else row for name, row in rows.items())
        yield f"row {place} of the {whose} has no counterpart{optional}: {values}"


def swaps(tensors: Mapping[str, Sides], grouped: Grouped) -> Iterator[str]:
    """Entries of a top k in whose place the candidate has others."""
    if not grouped.swapped.size:
        return
    (values, indices), pairs = tensors.values(), grouped.alignment
    for unit in grouped.swapped[:MOST]:
        at = int(pairs.reference[unit]), int(pairs.candidate[unit])
        was, now = (
            f"{index.reshape(-1)[p]} ({value.reshape(-1)[p]})"
            for value, index, p in zip(values, indices, at, strict=True)
        )
        yield f"entry {_place(at[0], values[0].shape)}: index {was} ties with {now} in the candidate"


def flips(found: Decisions, shape: Sequence[int]) -> Iterator[str]:
    """Decisions that differ; `shape` is the tensor's without the axis of the classes."""
    for number in range(min(MOST, found.flipped.size)):
        ours, theirs = (int(side[number]) for side in found.classes)
        place, margin = _place(int(found.flipped[number]), shape), found.margins[number]
        yield f"decision {place}: class {ours} by a margin of {margin:.3g}, {theirs} in the candidate"


def _place(position: int, shape: Sequence[int]) -> str:
    """``7``; ``[0, 7]`` where there are several axes."""
    at = [str(int(axis)) for axis in np.unravel_index(position, tuple(shape))]
    return at[0] if len(at) == 1 else f"[{', '.join(at)}]"


def _row(array: Array, unit: int, width: int) -> str:
    """``[1.0, 2.0]``; a single value without brackets."""
    values = array.reshape(-1)[unit * width : (unit + 1) * width]
    shown = [repr(str(value)) if isinstance(value, str) else str(value) for value in values[:_VALUES]]
    return shown[0] if width == 1 else f"[{', '.join([*shown, *['...'] * (width > _VALUES)])}]"
