"""Both sides take turns; the answers are scripted, for the order of requests is what is looked at."""

from __future__ import annotations

from typing import Any

import pytest

from parity.execution.timing import with_latencies
from parity.records.outcomes import Crashed, Latency, Ran
from parity.records.plan import LatencyPlan
from parity.records.requests import MeasureLatency
from parity.records.runs import SetRun
from parity.records.tensors import InputSet

RAN = Ran(calls=(), outputs=None, seconds=1.0, peak_rss_bytes=1)
RUN = SetRun(id="0", inputs=InputSet(id="0", tensors=()), reference=RAN, candidate=RAN)
DEAD = Crashed(signal="SIGKILL", exit_status=None, stderr_tail="")


class Scripted:
    """A side whose runs take `seconds` each, and which dies in the turn `dies_in`."""

    def __init__(self, name: str, log: list[str], seconds: float, dies_in: int | None = None) -> None:
        self.name, self.log, self.seconds, self.dies_in = name, log, seconds, dies_in
        self.requests: list[MeasureLatency] = []

    def ask(self, request: MeasureLatency, expected: type[Latency]) -> Latency | Crashed:
        self.log.append(self.name)
        self.requests.append(request)
        if len(self.requests) == self.dies_in:
            return DEAD
        size = len(self.requests)
        return Latency(seconds=(self.seconds,) * request.runs, warmup=request.warmup, own_bytes=size)


def timed(plan: LatencyPlan, reference: float, candidate: float, **dies: Any) -> tuple[SetRun, Any, Any, str]:
    log: list[str] = []
    sides = Scripted("r", log, reference), Scripted("c", log, candidate, **dies)
    run = with_latencies(RUN, plan, *sides)  # type: ignore[arg-type]
    return run, *sides, "".join(log)


def test_sides_take_turns_and_neither_is_always_the_second() -> None:
    run, reference, candidate, order = timed(LatencyPlan(warmup=2, runs=4), 0.1, 0.2)
    assert order == "rccrrccr"
    assert isinstance(run.reference_latency, Latency)
    assert isinstance(run.candidate_latency, Latency)
    assert run.reference_latency.seconds == (0.1,) * 4
    assert run.candidate_latency.seconds == (0.2,) * 4
    assert run.candidate_latency.warmup == 2
    assert run.candidate_latency.own_bytes == 4  # the greatest
    assert [request.warmup for request in candidate.requests] == [2, 0, 0, 0]
    assert reference.requests[0].runs == 1


def test_a_short_run_is_warmed_up_in_each_turn() -> None:
    _, _, candidate, _ = timed(LatencyPlan(warmup=2, runs=3), 0.001, 0.001)
    assert [request.warmup for request in candidate.requests] == [2, 1, 1]


def test_many_runs_come_several_to_a_turn() -> None:
    run, reference, _, _ = timed(LatencyPlan(warmup=0, runs=120), 0.0001, 0.0001)
    assert [request.runs for request in reference.requests] == [3] * 40
    assert isinstance(run.candidate_latency, Latency)
    assert len(run.candidate_latency.seconds) == 120


@pytest.mark.parametrize(("limit", "runs"), [(None, 3), (1.5, 10)])
def test_slow_runs_stop_after_the_third_unless_a_limit_is_judged(limit: float | None, runs: int) -> None:
    run, *_ = timed(LatencyPlan(warmup=0, runs=10, max_latency_ratio=limit), 2.0, 2.0)
    assert isinstance(run.reference_latency, Latency)
    assert len(run.reference_latency.seconds) == runs


def test_a_side_that_dies_has_no_latency() -> None:
    run, *_ = timed(LatencyPlan(warmup=0, runs=5), 0.1, 0.1, dies_in=2)
    assert run.candidate_latency == DEAD
