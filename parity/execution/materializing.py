"""Input sets on disk: made by the reference's worker, one at a time, and read by both sides."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

from parity.execution.side import Side
from parity.records.jobs import MaterializeProvider, MaterializeSet
from parity.records.outcomes import Materialized, Unanswered
from parity.records.plan import PlannedSet, ProviderPlan
from parity.records.tensors import InputSet

Sets = Iterator[tuple[str, InputSet | Unanswered]]
"""Each input set by its id, or why it could not be made; made when it is asked for."""

Selected = Callable[[str], bool]


def materialize(
    planned: tuple[PlannedSet, ...] | ProviderPlan, directory: Path, reference: Side, selected: Selected
) -> Sets | Unanswered:
    """Every selected input set, or why there is none; a set that failed does not hurt the others.

    Args:
        planned: what the specification asks for.
        directory: where they are written.
        reference: its worker makes them.
        selected: whether an input set of this id is wanted.
    """
    if not isinstance(planned, ProviderPlan):
        return ((one.id, _one(one, directory, reference)) for one in planned if selected(one.id))
    first = _provided(planned, 0, directory, reference, selected)
    return (
        _stream(first, planned, directory, reference, selected) if isinstance(first, Materialized) else first
    )


def how_many(planned: tuple[PlannedSet, ...] | ProviderPlan, selected: Selected) -> int | None:
    """How many sets there will be; None where only the provider knows."""
    if isinstance(planned, ProviderPlan):
        return None
    return sum(selected(one.id) for one in planned)


def _one(planned: PlannedSet, directory: Path, reference: Side) -> InputSet | Unanswered:
    request = MaterializeSet(id=planned.id, source=planned.source, directory=str(directory / planned.id))
    answer = reference.ask(request, Materialized)
    return answer.sets[0] if isinstance(answer, Materialized) else answer


def _stream(
    answer: Materialized | Unanswered,
    planned: ProviderPlan,
    directory: Path,
    reference: Side,
    selected: Selected,
) -> Sets:
    """What the provider yields until it ends or fails: what came before a failure is judged all the same."""
    for index in count():
        name = str(index)
        if not isinstance(answer, Materialized):
            yield name, answer
            return
        if not answer.sets:
            return
        if selected(name):
            yield name, answer.sets[0]
        answer = _provided(planned, index + 1, directory, reference, selected)


def _provided(
    planned: ProviderPlan, index: int, directory: Path, reference: Side, selected: Selected
) -> Materialized | Unanswered:
    name = str(index)
    request = MaterializeProvider(
        target=planned.target,
        samples=planned.samples,
        index=index,
        directory=str(directory / name) if selected(name) else None,
    )
    return reference.ask(request, Materialized)
