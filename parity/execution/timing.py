"""Latencies: measured last and in turns, so that no side is timed while the other computes."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod

from msgspec.structs import replace

from parity.execution.side import Side
from parity.records.jobs import GeneratedInputs, MeasureLatency
from parity.records.outcomes import Latency, Ran
from parity.records.plan import LatencyPlan, ProviderPlan, SuitePlan
from parity.records.runs import SetRun
from parity.records.tensors import InputSet


def with_latencies(run: SetRun, plan: LatencyPlan, reference: Side, candidate: Side) -> SetRun:
    """The input set, which both sides have run, with the latencies of both."""
    assert isinstance(run.inputs, InputSet)
    request = MeasureLatency(case=run.id, inputs=run.inputs, warmup=plan.warmup, runs=plan.runs)
    return replace(
        run,
        reference_latency=reference.ask(request, Latency),
        candidate_latency=candidate.ask(request, Latency),
    )


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
