"""Limits of latency and memory, on samples recorded on a quiet and on a busy machine."""

from __future__ import annotations

import random
from collections.abc import Sequence
from math import comb

import pytest

from parity.judging.performance import Cost, judge_performance, lower_bound, side_performance
from parity.records.outcomes import Crashed, Latency, Ran
from parity.records.plan import LatencyPlan
from parity.records.results import PerformanceCheck, SidePerformance

# Milliseconds of neighbouring runs. QUIET: a small LSTM, where ONNX Runtime takes 2.7 times as long.
QUIET = (
    [0.37, 0.33, 0.32, 0.35, 0.33, 0.32, 0.31, 0.32, 0.31, 0.31, 0.32, 0.32, 0.32, 0.32, 0.32],
    [1.01, 0.88, 0.92, 0.86, 0.87, 0.87, 0.89, 0.91, 0.86, 0.86, 0.90, 0.85, 0.85, 0.91, 0.84],
)
# BUSY: a detector on two cores that other programs use too; alone, ONNX Runtime takes 0.9 times as long.
BUSY = (
    [1082, 1116, 1126, 1326, 1332, 2000, 2414, 1269, 829, 896, 1451, 4123, 3318, 1897, 1311],
    [539, 535, 422, 777, 487, 583, 573, 591, 924, 602, 587, 597, 1086, 1113, 550],
)
MIB = 2**20


def cost(samples: Sequence[float], *, on_gpu: bool = False, **memory: int | None) -> Cost:
    return Cost(Latency(seconds=tuple(ms / 1e3 for ms in samples), warmup=1, **memory), on_gpu)


def latency(limit: float, reference: Sequence[float], candidate: Sequence[float]) -> PerformanceCheck:
    plan = LatencyPlan(warmup=1, runs=15, max_latency_ratio=limit)
    (check,) = judge_performance(plan, cost(reference), cost(candidate), "at {}".format)
    return check


def memory(limit: float, reference: Cost, candidate: Cost) -> PerformanceCheck:
    plan = LatencyPlan(warmup=1, runs=15, max_memory_ratio=limit)
    (check,) = judge_performance(plan, reference, candidate, "at {}".format)
    return check


def test_a_candidate_that_is_clearly_slower_has_failed_with_its_figures() -> None:
    check = latency(1.5, *QUIET)
    assert check.status == "failed"
    assert check.ratio == pytest.approx(0.87 / 0.32)
    assert check.at_least is not None
    assert 2.5 < check.at_least < check.ratio
    assert (check.reference, check.candidate, check.unit) == (pytest.approx(0.32), pytest.approx(0.87), "ms")
    assert check.at == "at performance.max_latency_ratio"
    assert check.problem == ""


def test_a_limit_above_the_ratio_is_kept() -> None:
    assert latency(2.8, *QUIET).status == "passed"
    assert latency(2.8, *QUIET).problem == ""


def test_a_busy_machine_fails_nobody() -> None:
    """Turned round, the medians are 2.2 apart, and the fastest runs are 1.96; alone they are 1.1."""
    reference, candidate = BUSY
    check = latency(1.9, candidate, reference)
    assert check.ratio is not None
    assert check.ratio > 2.2
    assert check.status == "passed"
    assert "more runs would tell" in check.problem


def test_one_slow_run_of_the_reference_hides_no_slow_candidate() -> None:
    reference, candidate = list(QUIET[0]), QUIET[1]
    reference[4] = 294.0  # as it was recorded once
    assert latency(1.5, reference, candidate).status == "failed"


def test_slow_runs_of_the_candidate_alone_are_no_failure() -> None:
    """Seven of fifteen runs are three times as slow, as when another program takes its turns with it."""
    slowed = [ms * (3 if turn % 2 else 1) for turn, ms in enumerate(QUIET[0])]
    assert latency(1.5, QUIET[0], slowed).status == "passed"


def test_the_same_program_twice_hardly_ever_fails() -> None:
    """Both sides drawn from the busy machine's recorded runs: at most 1 in 20 may fail at a limit of 1."""
    draw = random.Random(0)
    failed = sum(
        latency(1.0, draw.choices(BUSY[0], k=15), draw.choices(BUSY[0], k=15)).status == "failed"
        for _ in range(400)
    )
    assert failed <= 20


def test_a_reference_that_was_slowed_down_is_seen() -> None:
    """Most of its runs took a thousand times as long, on a machine with seven busy programs to a core."""
    slowed = [0.37, 0.35, 0.34, 130.0, 0.31, 252.0, 232.0, 0.33, 82.1, 54.0, 0.3, 216.0, 47.0, 156.0, 189.0]
    check = latency(2.5, slowed, QUIET[1])
    assert check.status == "passed"
    assert check.ratio is not None
    assert check.ratio < 0.1
    assert check.problem.endswith("the fastest runs are 2.8 x apart")


@pytest.mark.parametrize("runs", [1, 4])
def test_too_few_runs_are_not_judged(runs: int) -> None:
    check = latency(1.5, QUIET[0][:runs], QUIET[1][:runs])
    assert check.status == "error"
    assert "too few" in check.problem


def test_no_latency_and_no_time_are_not_judged() -> None:
    assert latency(1.5, [], []).problem == "no latency was measured"
    assert latency(1.5, [0.0] * 5, [1.0] * 5).status == "error"


@pytest.mark.parametrize("n", range(1, 41))
def test_the_lower_bound_is_that_of_the_sign_test(n: int) -> None:
    values = list(range(1, n + 1))

    def above(k: int) -> float:
        """How likely the k-th smallest is above the median."""
        return sum(comb(n, i) for i in range(k)) / 2**n

    k = lower_bound([float(value) for value in values])
    if k is None:
        assert above(1) > 0.05
    else:
        assert above(int(k)) <= 0.05 < above(int(k) + 1)


def test_memory_of_the_host_is_what_a_process_took_for_the_model() -> None:
    reference, candidate = (cost([1.0], own_bytes=size * MIB, device_bytes=MIB) for size in (200, 500))
    check = memory(2.0, reference, candidate)
    assert (check.status, check.ratio, check.unit) == ("failed", 2.5, "bytes on the host")
    assert check.at_least == pytest.approx(492 / 208)
    assert (
        memory(2.4, reference, candidate).problem
        == "above the limit, but by no more than what allocators round"
    )
    assert memory(2.6, reference, candidate).problem == ""


def test_memory_on_a_gpu_is_the_gpus() -> None:
    reference, candidate = (cost([1.0], on_gpu=True, own_bytes=MIB, device_bytes=n * 2**30) for n in (1, 3))
    assert memory(2.0, reference, candidate).status == "failed"
    assert memory(4.0, reference, candidate).unit == "bytes on the device"


@pytest.mark.parametrize(
    ("reference", "candidate", "why"),
    [
        (cost([1.0], own_bytes=5 * MIB), cost([1.0], own_bytes=5 * MIB), "takes 5.0 MiB"),
        (cost([1.0]), cost([1.0], own_bytes=MIB), "does not tell how much memory"),
        (cost([1.0], on_gpu=True), cost([1.0], on_gpu=True, device_bytes=MIB), "--pid=host"),
        (cost([1.0], own_bytes=MIB), cost([1.0], on_gpu=True, device_bytes=MIB), "not to be compared"),
    ],
    ids=["small", "host", "driver", "unlike"],
)
def test_memory_that_is_not_known_is_no_pass(reference: Cost, candidate: Cost, why: str) -> None:
    check = memory(100.0, reference, candidate)
    assert check.status == "error"
    assert why in check.problem


def test_without_limits_nothing_is_judged() -> None:
    plan = LatencyPlan(warmup=1, runs=15)
    assert judge_performance(plan, cost(QUIET[0]), cost(QUIET[1]), str) == ()


def test_a_side_has_its_least_median_and_ninetieth_percentile() -> None:
    run = Ran(calls=(), outputs=None, seconds=1.0, peak_rss_bytes=7)
    timed = cost([5, 1, 2, 3, 4, 10, 6, 7, 8, 9], own_bytes=3).latency
    side = side_performance(run, timed, whole=True)
    assert (side.latency_min_ms, side.latency_ms, side.latency_p90_ms) == (1.0, 5.5, 9.0)
    assert (side.runs, side.warmup, side.own_bytes, side.peak_rss_bytes) == (10, 1, 3, 7)
    crashed = Crashed(signal=None, exit_status=1, stderr_tail="")
    assert side_performance(run, crashed, whole=True) == SidePerformance(peak_rss_bytes=7)
    assert side_performance(run, timed, whole=False) == SidePerformance()
