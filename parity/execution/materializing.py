"""Input sets on disk: made once by the reference's worker, read by both sides."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from parity.execution.side import Side
from parity.records.jobs import MaterializeProvider, MaterializeSet
from parity.records.outcomes import Materialized, Unanswered
from parity.records.plan import PlannedSet, ProviderPlan
from parity.records.tensors import InputSet

Sets = list[tuple[str, InputSet | Unanswered]]
"""Each input set by its id, or why it could not be made."""


def materialize(
    planned: tuple[PlannedSet, ...] | ProviderPlan,
    directory: Path,
    reference: Side,
    selected: Callable[[str], bool],
) -> Sets | Unanswered:
    """Every selected input set, or why there is none; a set that failed does not hurt the others.

    Args:
        planned: what the specification asks for.
        directory: where they are written.
        reference: its worker makes them.
        selected: whether an input set of this id is wanted.
    """
    if isinstance(planned, ProviderPlan):
        request = MaterializeProvider(
            target=planned.target, samples=planned.samples, directory=str(directory)
        )
        answer = reference.ask(request, Materialized)
        if not isinstance(answer, Materialized):
            return answer
        return [(made.id, made) for made in answer.sets if selected(made.id)]
    return [(one.id, _one(one, directory, reference)) for one in planned if selected(one.id)]


def _one(planned: PlannedSet, directory: Path, reference: Side) -> InputSet | Unanswered:
    request = MaterializeSet(id=planned.id, source=planned.source, directory=str(directory / planned.id))
    answer = reference.ask(request, Materialized)
    return answer.sets[0] if isinstance(answer, Materialized) else answer
