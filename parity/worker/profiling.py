"""What a run costs: seconds of each run, and the peak of resident memory while a block runs."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from math import inf
from pathlib import Path
from types import TracebackType
from typing import Self

from parity.records.outcomes import Latency

_CLEAR_REFS = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")


_FEWEST_RUNS = 3  # a median of fewer says little


def time_runs(
    run: Callable[[], object], synchronize: Callable[[], None], warmup: int, runs: int, budget_s: float = inf
) -> Latency:
    """Wall time in seconds of each of `runs` calls, after `warmup` untimed ones.

    No further call is made once `budget_s` seconds have been timed, but three are made in any case.

    `synchronize` waits until the device has finished; it is part of every timed run, and runs once before
    it, so that work which is still queued is not charged to the next run.
    """
    for _ in range(warmup):
        run()
    seconds: list[float] = []
    for _ in range(runs):
        if len(seconds) >= _FEWEST_RUNS and sum(seconds) > budget_s:
            break
        synchronize()
        start = time.perf_counter()
        run()
        synchronize()
        seconds.append(time.perf_counter() - start)
    return Latency(seconds=tuple(seconds), warmup=warmup)


class PeakMemory:
    """Peak resident memory of this process, in bytes, while the block runs; in `rss_bytes` after it.

    Linux can set its high-water mark back, so the figure is the block's own. Where it can't (another
    system, or a sandbox without ``/proc/self/clear_refs``) the figure is the peak since the process
    began: never too low, perhaps too high. Blocks can't be nested.
    """

    rss_bytes: int = 0

    def __enter__(self) -> Self:
        # "5" sets VmHWM back to the current size; see proc_pid_clear_refs(5).
        with suppress(OSError):
            _CLEAR_REFS.write_text("5")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.rss_bytes = _high_water_mark()


def _high_water_mark() -> int:
    """Greatest resident size in bytes since the mark was last set back."""
    with suppress(OSError):  # no /proc: not Linux
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # macOS counts in bytes, others in KiB
