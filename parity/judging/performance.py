"""Latency and memory against their limits: multiples of the reference's, with noise allowed for. Pure.

A busy machine makes runs slower and never faster. So a limit is exceeded only where two estimates agree that
it is: what the median of the paired ratios is at least, by their order alone, and the ratio of the fastest
runs. Sampling a slow minute fails neither.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, comb
from statistics import median

from msgspec.structs import replace

from parity.records.outcomes import Latency, Ran, Unanswered
from parity.records.plan import LatencyPlan
from parity.records.results import LimitName, PerformanceCheck, SidePerformance, Status, Unit

CONFIDENCE = 0.95  # that the median of the ratios is above its lower bound
MARGIN_BYTES = 8 * 2**20  # that allocators and libraries take one time and not another
SMALLEST_BYTES = 4 * MARGIN_BYTES  # of a reference that another can be a multiple of

_NOISE = "above the limit, but noise could make that much of it: more runs would tell"
_BUSY = "within the limit, but the reference was slowed down more than the candidate"
_ROUNDED = "above the limit, but by no more than what allocators round"
_UNKNOWN: dict[Unit, str] = {
    "bytes on the device": "the driver does not tell what a process holds of the GPU: a container needs "
    "--pid=host",
    "bytes on the host": "the system does not tell how much memory a process takes",
}


@dataclass(frozen=True)
class Cost:
    """What one side took in the runs that were timed."""

    latency: Latency
    on_gpu: bool

    @property
    def bytes(self) -> int | None:
        """Peak memory of the device that it ran on; None: not known."""
        return self.latency.device_bytes if self.on_gpu else self.latency.own_bytes


def judge_performance(
    plan: LatencyPlan, reference: Cost, candidate: Cost, at: Callable[[str], str]
) -> tuple[PerformanceCheck, ...]:
    """One check for each limit of the plan.

    Args:
        plan: has the limits.
        reference: its seconds are paired with the candidate's by position.
        candidate: as many seconds.
        at: the place of a key of the specification.
    """
    checks = []
    if plan.max_latency_ratio is not None:
        ours, theirs = reference.latency.seconds, candidate.latency.seconds
        checks.append(_latency(_check("max_latency_ratio", plan.max_latency_ratio, at), ours, theirs))
    if plan.max_memory_ratio is not None:
        check = _check("max_memory_ratio", plan.max_memory_ratio, at)
        checks.append(_memory(check, reference, candidate))
    return tuple(checks)


def side_performance(
    run: Ran | Unanswered | None, latency: Latency | Unanswered | None, whole: bool
) -> SidePerformance:
    """What the report says of one side; of the chain or the model, for a component alone is not timed."""
    if not whole or not isinstance(run, Ran):
        return SidePerformance()
    found = SidePerformance(peak_rss_bytes=run.peak_rss_bytes, peak_device_bytes=run.peak_device_bytes)
    if not isinstance(latency, Latency) or not latency.seconds:
        return found
    ordered = sorted(latency.seconds)
    return replace(
        found,
        latency_ms=1e3 * median(ordered),
        latency_min_ms=1e3 * ordered[0],
        latency_p90_ms=1e3 * ordered[ceil(0.9 * len(ordered)) - 1],
        runs=len(ordered),
        warmup=latency.warmup,
        own_bytes=latency.own_bytes,
        device_bytes=latency.device_bytes,
    )


def lower_bound(values: Sequence[float], confidence: float = CONFIDENCE) -> float | None:
    """What the median of the values' distribution is at least; None where they are too few to say.

    The k-th smallest of n, for the greatest k with P(Binomial(n, 1/2) < k) <= 1 - confidence: the sign test,
    which asks nothing of the distribution (Conover, Practical Nonparametric Statistics, section 3.4).
    """
    n, below, k = len(values), 0.0, 0
    while k < n and (below := below + comb(n, k) * 0.5**n) <= 1 - confidence:
        k += 1
    return sorted(values)[k - 1] if k else None


def _check(name: LimitName, limit: float, at: Callable[[str], str]) -> PerformanceCheck:
    return PerformanceCheck(limit_name=name, limit=limit, status="error", at=at(f"performance.{name}"))


def _latency(
    check: PerformanceCheck, reference: Sequence[float], candidate: Sequence[float]
) -> PerformanceCheck:
    if not reference or not candidate:
        return replace(check, problem="no latency was measured")
    if min(reference) <= 0.0:
        return replace(check, problem="the reference took no time that the clock could see")
    ours, theirs = median(reference), median(candidate)
    check = replace(check, ratio=theirs / ours, reference=1e3 * ours, candidate=1e3 * theirs)
    ratios = [slow / quick for quick, slow in zip(reference, candidate, strict=True)]
    bound = lower_bound(ratios)
    if bound is None:
        return replace(check, problem=f"{len(ratios)} runs are too few to tell a ratio from noise")
    fastest = min(candidate) / min(reference)
    judged = _judged(check, theirs / ours, min(bound, fastest), _NOISE)
    if judged.status == "passed" and not judged.problem and fastest > check.limit:
        return replace(judged, problem=f"{_BUSY}: the fastest runs are {fastest:.3g} x apart")
    return judged


def _judged(check: PerformanceCheck, ratio: float, at_least: float, doubt: str) -> PerformanceCheck:
    """Failed where it is beyond doubt; a ratio above the limit that is not says so."""
    status: Status = "failed" if at_least > check.limit else "passed"
    problem = doubt if status == "passed" and ratio > check.limit else ""
    return replace(check, status=status, ratio=ratio, at_least=at_least, problem=problem)


def _memory(check: PerformanceCheck, reference: Cost, candidate: Cost) -> PerformanceCheck:
    if reference.on_gpu != candidate.on_gpu:
        problem = "one side's memory is the host's, the other's the GPU's: these are not to be compared"
        return replace(check, problem=problem)
    ours, theirs = reference.bytes, candidate.bytes
    unit: Unit = "bytes on the device" if reference.on_gpu else "bytes on the host"
    check = replace(check, reference=_number(ours), candidate=_number(theirs), unit=unit)
    if ours is None or theirs is None:
        return replace(check, problem=_UNKNOWN[unit])
    if ours < SMALLEST_BYTES:
        problem = (
            f"the reference takes {ours / 2**20:.1f} MiB of its own, and less than "
            f"{SMALLEST_BYTES / 2**20:g} MiB can't be told from what allocators round"
        )
        return replace(check, problem=problem)
    at_least = max(0, theirs - MARGIN_BYTES) / (ours + MARGIN_BYTES)
    return _judged(check, theirs / ours, at_least, _ROUNDED)


def _number(size: int | None) -> float | None:
    """As the record has it: what is written must be what is read."""
    return None if size is None else float(size)
