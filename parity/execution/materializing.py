"""Input sets on disk: made by the reference's worker, one at a time, and read by both sides."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from parity.execution.side import Side
from parity.records.outcomes import Materialized, Unanswered
from parity.records.plan import PlannedSet, ProviderPlan
from parity.records.requests import MaterializeProvider, MaterializeSet
from parity.records.tensors import InputSet

Sets = Iterator[tuple[str, InputSet | Unanswered]]
"""Each input set by its id, or why it could not be made; made when it is asked for."""


@dataclass(frozen=True)
class Wanted:
    """Which input sets are: those whose id `selects`; with `only_one`, there is no other behind the first."""

    selects: Callable[[str], bool]
    only_one: bool = False


def materialize(
    planned: tuple[PlannedSet, ...] | ProviderPlan, directory: Path, reference: Side, wanted: Wanted
) -> Sets | Unanswered:
    """Every wanted input set, or why there is none; a set that failed does not hurt the others.

    Args:
        planned: what the specification asks for.
        directory: where they are written.
        reference: its worker makes them.
        wanted: which of them.
    """
    if not isinstance(planned, ProviderPlan):
        return ((one.id, _one(one, directory, reference)) for one in planned if wanted.selects(one.id))
    first = _provided(planned, 0, directory, reference, wanted)
    return _stream(first, planned, directory, reference, wanted) if isinstance(first, Materialized) else first


def _one(planned: PlannedSet, directory: Path, reference: Side) -> InputSet | Unanswered:
    request = MaterializeSet(id=planned.id, source=planned.source, directory=str(directory / planned.id))
    answer = reference.ask(request, Materialized)
    return answer.sets[0] if isinstance(answer, Materialized) else answer


def _stream(
    answer: Materialized | Unanswered, planned: ProviderPlan, directory: Path, reference: Side, wanted: Wanted
) -> Sets:
    """What the provider yields until it ends or fails: what came before a failure is judged all the same."""
    for index in count():
        name = str(index)
        if not isinstance(answer, Materialized):
            yield name, answer
            return
        if not answer.sets:
            return
        if wanted.selects(name):
            yield name, answer.sets[0]
            if wanted.only_one:
                return
        answer = _provided(planned, index + 1, directory, reference, wanted)


def _provided(
    planned: ProviderPlan, index: int, directory: Path, reference: Side, wanted: Wanted
) -> Materialized | Unanswered:
    name = str(index)
    request = MaterializeProvider(
        target=planned.target,
        samples=planned.samples,
        index=index,
        directory=str(directory / name) if wanted.selects(name) else None,
    )
    return reference.ask(request, Materialized)
