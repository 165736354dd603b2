"""Pairs of outputs -> the same with what belongs together at the same place, where a tolerance matches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod

import numpy as np
from msgspec.structs import replace

from parity.artifacts import Array, read_tensor
from parity.errors import SpecError
from parity.measuring import measure
from parity.measuring.matching import (
    Grouped,
    Masks,
    Sides,
    Unmatchable,
    align_group,
    compare_decisions,
)
from parity.pairing import Pair
from parity.records.matching import MatchGroup, Matching
from parity.records.measurements import Element, Measurement, Tolerance

from .dtypes import in_one_dtype
from .examples import MOST, flips, lone_rows, swaps
from .groups import match_groups
from .unlike import unlike


@dataclass(frozen=True)
class Matched:
    """Both sides of one output, ready to be measured.

    Args:
        reference: what is matched, (units, width); of decisions, the tensor as it is.
        candidate: its counterpart at each place.
        matching: what was matched with what.
        alignment: where the units come from; None: they are where they were.
        shapes: of the two tensors.
    """

    reference: Array
    candidate: Array
    matching: Matching
    alignment: Grouped | None
    shapes: tuple[tuple[int, ...], tuple[int, ...]]

    def measure(self, tolerance: Tolerance) -> Measurement:
        """How far what is matched is apart; places are those in the tensors, not in what is matched."""
        measured = measure(self.reference, self.candidate, tolerance)
        return replace(
            measured,
            matching=self.matching,
            largest=self._placed(measured.largest),
            worst=self._placed(measured.worst),
        )

    def _placed(self, element: Element | None) -> Element | None:
        if element is None or self.alignment is None:
            return element
        unit, within = element.index
        pairs, width = self.alignment.alignment, self.reference.shape[1]
        places = [
            tuple(int(at) for at in np.unravel_index(int(units[unit]) * width + within, shape))
            for units, shape in zip((pairs.reference, pairs.candidate), self.shapes, strict=True)
        ]
        return replace(
            element, index=places[0], candidate_index=places[1] if places[1] != places[0] else None
        )


def match_outputs(
    pairs: Iterable[Pair], tolerances: Mapping[str, Tolerance], spec_file: str
) -> dict[str, Matched | str]:
    """Every output that is matched, by name, or why it can't be; the others are not in it.

    Raises:
        SpecError: outputs are to be matched that can't be.
        CannotJudge: a saved tensor can't be read.
    """
    by_name = {pair.name: pair for pair in pairs}
    found: dict[str, Matched | str] = {}
    for group in match_groups(tolerances, by_name, spec_file):
        names = [member.output for member in group.members]
        axis = group.axis or 0 if group.kind == "rows" else None
        unlikes = [(name, unlike(by_name[name], tolerances.get(name), axis)) for name in names]
        problems = [f"{name}: {why}" if len(names) > 1 else why for name, why in unlikes if why]
        if problems:
            found.update(dict.fromkeys(names, "; ".join(problems)))
            continue
        tensors = {name: _read(by_name[name]) for name in names}
        rules = {name: tolerances[name] for name in names}
        try:
            found.update(
                _decisions(group, tensors, rules)
                if group.kind == "argmax"
                else _lined_up(group, tensors, rules, spec_file)
            )
        except Unmatchable as error:
            found.update(dict.fromkeys(names, str(error)))
    return found


def _read(pair: Pair) -> Sides:
    assert pair.reference is not None
    assert pair.candidate is not None
    return in_one_dtype(read_tensor(pair.reference), read_tensor(pair.candidate))


def _lined_up(
    group: MatchGroup, tensors: Mapping[str, Sides], rules: Mapping[str, Tolerance], spec_file: str
) -> dict[str, Matched | str]:
    spare = _spare(group, tensors, rules, spec_file)
    grouped = align_group(group, tensors, spare)
    matching = _matching(group, tensors, grouped, spare)
    found: dict[str, Matched | str] = {}
    for number, (name, sides) in enumerate(tensors.items()):
        reference, candidate = grouped.aligned(name, sides)
        if number and grouped.swapped.size:  # the indices of a top k: these may be others
            candidate[grouped.swapped] = reference[grouped.swapped]
        found[name] = Matched(reference, candidate, matching, grouped, (sides[0].shape, sides[1].shape))
    return found


def _spare(
    group: MatchGroup, tensors: Mapping[str, Sides], rules: Mapping[str, Tolerance], spec_file: str
) -> Masks | None:
    """Rows that may be missing, as `optional_below` says; None where nothing says so."""
    scores = [name for name, rule in rules.items() if rule.optional_below is not None]
    if not scores:
        return None
    name, rule = scores[0], rules[scores[0]]
    place = ":".join(str(part) for part in (spec_file, rule.line, rule.column) if part is not None)
    if len(scores) > 1:
        problem = f"{scores[0]!r} and {scores[1]!r} both say which rows are optional"
        raise SpecError(problem, at=place, fix="keep the `optional_below` of one")
    if tensors[name][0].dtype.kind in "cSU":
        raise SpecError(
            f"{name!r} holds no scores, but {tensors[name][0].dtype}", at=place, fix="name the scores"
        )
    axis, column = group.axis or 0, rule.score_column
    width = prod(tensors[name][0].shape[axis + 1 :])
    if column is None and width != 1:
        problem = f"{name!r} has {width} values in a row: which is the score?"
        raise SpecError(problem, at=place, fix="add score_column, its position from 0")
    if column is not None and column >= width:
        problem = f"{name!r} has {width} values in a row, and none at {column}"
        raise SpecError(problem, at=place, fix="score_column counts from 0")
    reference, candidate = (
        side.reshape(prod(side.shape[: axis + 1]), width)[:, column or 0].astype(np.float64)
        <= (rule.optional_below or 0.0)
        for side in tensors[name]
    )
    return reference, candidate


def _matching(
    group: MatchGroup, tensors: Mapping[str, Sides], grouped: Grouped, spare: Masks | None
) -> Matching:
    pairs = grouped.alignment
    optional = 0
    lone = [pairs.lone_reference, pairs.lone_candidate]
    if spare is not None:
        optional = sum(int(np.count_nonzero(mask[units])) for mask, units in zip(spare, lone, strict=True))
    examples = [*lone_rows(group, tensors, grouped, spare), *swaps(tensors, grouped)]
    return Matching(
        kind=group.kind,
        reference=pairs.reference.size + pairs.lone_reference.size,
        candidate=pairs.candidate.size + pairs.lone_candidate.size,
        moved=pairs.moved,
        lone_reference=pairs.lone_reference.size,
        lone_candidate=pairs.lone_candidate.size,
        optional=optional,
        swapped=grouped.swapped.size,
        examples=tuple(examples[:MOST]),
    )


def _decisions(
    group: MatchGroup, tensors: Mapping[str, Sides], rules: Mapping[str, Tolerance]
) -> dict[str, Matched | str]:
    ((name, sides),) = tensors.items()
    axis = -1 if group.axis is None else group.axis
    shape = sides[0].shape
    if not -len(shape) <= axis < len(shape):
        raise Unmatchable(f"{name} has no axis {axis} for its classes: its shape is {list(shape)}")
    if sides[0].dtype.kind in "cSU":
        raise Unmatchable(f"{name} is no tensor of real numbers: it has no greatest class")
    if shape[axis] == 0 and prod(shape[:axis]):
        raise Unmatchable(f"{name} has no class along axis {axis}")
    found = compare_decisions(*sides, axis, rules[name].margin or 0.0)
    matching = Matching(
        kind="argmax",
        reference=found.count,
        candidate=found.count,
        flipped=found.flipped.size,
        undecided=found.undecided,
        flipped_margin=float(
            np.nanmax(np.where(np.isfinite(found.margins), found.margins, np.nan), initial=0.0)
        ),
        examples=tuple(flips(found, [size for at, size in enumerate(shape) if at != axis % len(shape)])),
    )
    return {name: Matched(*sides, matching, None, (shape, shape))}
