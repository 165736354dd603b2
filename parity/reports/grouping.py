"""Outputs that are off for one reason, together: twelve of them under one cause are told once.

Two outputs of one subject are alike when their errors start at the same node and their first causes are the
same but for figures; where neither is known, when the same could not be measured or looked into.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

from parity.records.diagnosis import Diagnosis
from parity.records.jobs import PIPELINE

from . import wording
from .selection import Diagnosed, OutputRow, listed

_MOST_LISTED = 8
_MOST_REMEDIES = 6
_FIGURE = re.compile(r"\d[\d.,e%+-]*")


@dataclass(frozen=True)
class Group:
    """Rows of one subject that are off for one reason, in the order in which they came."""

    rows: tuple[OutputRow, ...]

    @property
    def lead(self) -> OutputRow:
        """The row that stands for all of them."""
        return self.rows[0]

    @property
    def explained(self) -> Diagnosed | None:
        return self.lead.explained

    @property
    def is_reasoned(self) -> bool:
        """Whether there is a place, a cause or a note to tell of."""
        found = self.explained.diagnosis if self.explained else None
        return found is not None and bool(found.first_divergence or found.causes or found.notes)


def groups(rows: Iterable[OutputRow]) -> list[Group]:
    """The rows in groups, by the first row of each; one without a reason stands alone."""
    found: dict[Hashable, list[OutputRow]] = {}
    for row in rows:
        reason = _reason(row.explained.diagnosis) if row.explained else None
        alone = (row.name,) if reason is None else ()
        found.setdefault((row.pair, row.subject, reason, alone), []).append(row)
    return [Group(tuple(alike)) for alike in found.values()]


def in_detail(found: Sequence[Group], most: int) -> list[Group]:
    """At most `most` groups to be told in full, those that tell most first.

    A chain has no diagnosis. Beside components that have one, its outputs say again what theirs say.
    """
    reasoned = any(group.is_reasoned for group in found)
    chosen = [group for group in found if not (reasoned and group.lead.subject == PIPELINE and _bare(group))]
    return sorted(chosen, key=_bare)[:most]


def likewise(group: Group) -> str:
    """``height 355 x its tolerance, rot 330 x its tolerance``: the others; empty where there are none."""
    return listed((_far(row) for row in group.rows[1:]), most=_MOST_LISTED)


def remedies(group: Group) -> list[tuple[str, str]]:
    """What mends the others where it is not what mends the lead, such as a tolerance of their own."""
    own = _remedy(group.lead)
    found = [(row.name, _remedy(row)) for row in group.rows[1:]]
    told = [("mend", f"{name}: {remedy}") for name, remedy in found if remedy not in ("", own)]
    rest = len(told) - _MOST_REMEDIES
    return told[:_MOST_REMEDIES] + [("mend", f"and of {rest:,} more")] * (rest > 0)


def _remedy(row: OutputRow) -> str:
    known = row.explained.diagnosis.causes if row.explained else ()
    return known[0].remedy if known else ""


def _far(row: OutputRow) -> str:
    return f"{row.name} {wording.how_far(row.worst).removesuffix(' its tolerance')}".rstrip()


def _bare(group: Group) -> bool:
    """Without a budget, and not of the kind whose problem says all."""
    return group.explained is None and group.lead.worst.factor is not None


def _reason(diagnosis: Diagnosis) -> Hashable | None:
    """What makes two outputs alike. Figures are each output's own and no part of it."""
    first, cause = diagnosis.first_divergence, next(iter(diagnosis.causes), None)
    if first is None and cause is None:
        unknown = () if diagnosis.dominant_leg else tuple(sorted(diagnosis.budget.unknown.items()))
        told = diagnosis.notes or unknown
        return (diagnosis.dominant_leg, diagnosis.notes, unknown) if told else None
    place = (first.leg, first.node, first.module, first.output) if first else None
    if cause is None:
        return place, None
    words = tuple(_FIGURE.sub("", text) for text in (cause.message, cause.remedy))
    return place, (cause.kind, cause.leg, words, cause.node, cause.tensor)
