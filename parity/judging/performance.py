"""Latency and memory against their limits: multiples of the reference's, with noise allowed for. Pure.

A busy machine makes runs slower and never faster. So a limit is exceeded only where two estimates agree that
it is: what the median of the paired ratios is at least, by their order alone, and the ratio of the fastest
runs. Sampling a slow minute fails neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import comb
from statistics import median

from msgspec.structs import replace

from parity.records.outcomes import Latency
from parity.records.plan import LatencyPlan
from parity.records.results import PerformanceCheck

CONFIDENCE = 0.95  # that the median of the ratios is above its lower bound
MARGIN_BYTES = 8 * 2**20  # that allocators and libraries take one time and not another
SMALLEST_BYTES = 4 * MARGIN_BYTES  # of a reference that another can be a multiple of

_Place = tuple[int | None, int | None]
_NOWHERE: _Place = (None, None)


def judge_performance(
    plan: LatencyPlan,
    reference: Latency,
    candidate: Latency,
    *,
    on_gpu: bool,
    places: dict[str, tuple[int, int]] | None = None,
) -> tuple[PerformanceCheck, ...]:
    """One check for each limit of the plan.

    Args:
        plan: has the limits.
        reference: its seconds are paired with the candidate's by position.
        candidate: as many seconds.
        on_gpu: whether memory is the accelerator's.
        places: line and column of the keys of the specification.
    """
    known = places or {}
    checks = []
    if plan.max_latency_ratio is not None:
        place = known.get("performance.max_latency_ratio", _NOWHERE)
        checks.append(_latency(plan.max_latency_ratio, reference.seconds, candidate.seconds, place))
    if plan.max_memory_ratio is not None:
        place = known.get("performance.max_memory_ratio", _NOWHERE)
        checks.append(_memory(plan.max_memory_ratio, reference, candidate, on_gpu, place))
    return tuple(checks)


def lower_bound(values: Sequence[float], confidence: float = CONFIDENCE) -> float | None:
    """What the median of the values' distribution is at least; None where they are too few to say.

    The k-th smallest of n, for the greatest k with P(Binomial(n, 1/2) < k) <= 1 - confidence: the sign test,
    which asks nothing of the distribution (Conover, Practical Nonparametric Statistics, section 3.4).
    """
    n, below, k = len(values), 0.0, 0
    while k < n and (below := below + comb(n, k) * 0.5**n) <= 1 - confidence:
        k += 1
    return sorted(values)[k - 1] if k else None


def _latency(
    limit: float, reference: Sequence[float], candidate: Sequence[float], place: _Place
) -> PerformanceCheck:
    check = PerformanceCheck(
        limit_name="max_latency_ratio", limit=limit, status="error", line=place[0], column=place[1]
    )
    if not reference or not candidate:
        return replace(check, problem="no latency was measured")
    if min(reference) <= 0.0:
        return replace(check, problem="the reference took no time that the clock could see")
    ratios = [theirs / ours for ours, theirs in zip(reference, candidate, strict=True)]
    check = replace(
        check,
        ratio=median(ratios),
        reference=1e3 * median(reference),
        candidate=1e3 * median(candidate),
    )
    bound = lower_bound(ratios)
    if bound is None:
        return replace(check, problem=f"{len(ratios)} runs are too few to tell a ratio from noise")
    at_least = min(bound, min(candidate) / min(reference))
    return _judged(check, median(ratios), at_least, "noise could make that much of it: more runs would tell")


def _judged(check: PerformanceCheck, ratio: float, at_least: float, but: str) -> PerformanceCheck:
    """Failed where it is beyond doubt; a ratio above the limit that is not says so."""
    judged = replace(check, status="failed" if at_least > check.limit else "passed")
    doubt = f"above the limit, but {but}" if judged.status == "passed" and ratio > check.limit else ""
    return replace(judged, ratio=ratio, at_least=at_least, problem=doubt)


def _memory(
    limit: float, reference: Latency, candidate: Latency, on_gpu: bool, place: _Place
) -> PerformanceCheck:
    ours = reference.device_bytes if on_gpu else reference.own_bytes
    theirs = candidate.device_bytes if on_gpu else candidate.own_bytes
    check = PerformanceCheck(
        limit_name="max_memory_ratio",
        limit=limit,
        status="error",
        reference=ours,
        candidate=theirs,
        unit="bytes on the device" if on_gpu else "bytes on the host",
        line=place[0],
        column=place[1],
    )
    return _with_verdict(check, ours, theirs)


def _with_verdict(check: PerformanceCheck, ours: int | None, theirs: int | None) -> PerformanceCheck:
    if ours is None or theirs is None:
        return replace(check, problem=_unknown(check))
    if ours < SMALLEST_BYTES:
        problem = (
            f"the reference takes {ours / 2**20:.1f} MiB of its own, and less than "
            f"{SMALLEST_BYTES / 2**20:g} MiB can't be told from what allocators round"
        )
        return replace(check, problem=problem)
    at_least = max(0, theirs - MARGIN_BYTES) / (ours + MARGIN_BYTES)
    return _judged(check, theirs / ours, at_least, "by no more than what allocators round")


def _unknown(check: PerformanceCheck) -> str:
    if check.unit == "bytes on the device":
        return "the driver does not tell what a process holds of the GPU: a container needs --pid=host"
    return "the system does not tell how much memory a process takes"
