"""Latencies: measured last and in turns, so that no side is timed while the other computes.

The sides take turns run by run: what slows the machine down for a while slows down both.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil, prod
from statistics import median

from msgspec.structs import replace

from parity.execution.side import Side
from parity.records.inputs import GeneratedInputs
from parity.records.outcomes import Latency, Ran, Unanswered
from parity.records.plan import LatencyPlan, ProviderPlan, SuitePlan
from parity.records.requests import MeasureLatency
from parity.records.runs import SetRun
from parity.records.tensors import InputSet

_MOST_TURNS = 50  # of each side; more runs than these come several to a turn
_BUDGET_S = 1.0  # timed on a side, after which nothing more is measured that no limit needs
_FEWEST_RUNS = 3  # a median of fewer says little
_SHORT_S = 0.05  # a run that what the other side left in the caches would show in


def with_latencies(run: SetRun, plan: LatencyPlan, reference: Side, candidate: Side) -> SetRun:
    """The input set, which both sides have run, with the latencies of both."""
    assert isinstance(run.inputs, InputSet)
    assert isinstance(run.reference, Ran)
    per_turn = ceil(plan.runs / _MOST_TURNS)
    sides, found = (reference, candidate), (_nothing(plan), _nothing(plan))
    for turn in range(ceil(plan.runs / per_turn)):
        request = MeasureLatency(
            case=run.id,
            inputs=run.inputs,
            warmup=plan.warmup if turn == 0 else _warmup(plan, found[0]),
            runs=min(per_turn, plan.runs - turn * per_turn),
            calls=run.reference.calls,
        )
        first = turn % 2  # neither is always the one that comes after the other
        answers: dict[int, Latency | Unanswered] = {}
        for index in (first, 1 - first):
            answers[index] = sides[index].ask(request, Latency)
        mine, theirs = answers[0], answers[1]
        if not isinstance(mine, Latency) or not isinstance(theirs, Latency):
            return replace(run, reference_latency=mine, candidate_latency=theirs)
        found = (_joined(found[0], mine), _joined(found[1], theirs))
        if not plan.is_judged and _enough(found[0]) and _enough(found[1]):
            break
    return replace(run, reference_latency=found[0], candidate_latency=found[1])


def _nothing(plan: LatencyPlan) -> Latency:
    return Latency(seconds=(), warmup=plan.warmup)


def _warmup(plan: LatencyPlan, so_far: Latency) -> int:
    """Untimed runs of a later turn: one where it is cheap and would show."""
    return min(plan.warmup, 1) if median(so_far.seconds) < _SHORT_S else 0


def _enough(latency: Latency) -> bool:
    return len(latency.seconds) >= _FEWEST_RUNS and sum(latency.seconds) > _BUDGET_S


def _joined(one: Latency, other: Latency) -> Latency:
    return Latency(
        seconds=one.seconds + other.seconds,
        warmup=one.warmup,
        own_bytes=_greater(one.own_bytes, other.own_bytes),
        device_bytes=_greater(one.device_bytes, other.device_bytes),
    )


def _greater(one: int | None, other: int | None) -> int | None:
    return max((size for size in (one, other) if size is not None), default=None)


def worth_timing(plan: SuitePlan, runs: Iterable[SetRun]) -> set[str]:
    """Ids: one set of each combination of dimensions; of recorded data, never alike, the largest."""
    if plan.latency.runs == 0 or plan.saved:
        return set()
    generated = not isinstance(plan.inputs, ProviderPlan) and all(
        isinstance(planned.source, GeneratedInputs) for planned in plan.inputs
    )
    largest: dict[object, tuple[int, str]] = {}
    for run in runs:
        if isinstance(run.candidate, Ran) and isinstance(run.inputs, InputSet):
            shapes = tuple((tensor.name, tensor.shape) for tensor in run.inputs.tensors)
            size = sum(prod(tensor.shape) for tensor in run.inputs.tensors)
            key = shapes if generated else None
            largest[key] = max(largest.get(key, (-1, "")), (size, run.id))
    return {name for _, name in largest.values()}
