"""What a run costs: seconds of each run, and the peak of resident memory while a block runs."""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from msgspec.structs import replace

from parity.records.outcomes import Latency
from parity.worker.device_memory import device_bytes

_CLEAR_REFS = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")


def time_runs(run: Callable[[], object], synchronize: Callable[[], None], warmup: int, runs: int) -> Latency:
    """Wall time in seconds of each of `runs` calls, after `warmup` untimed ones.

    `synchronize` waits until the device has finished; it is part of every timed run, and runs once before
    it, so that work which is still queued is not charged to the next run.
    """
    for _ in range(warmup):
        run()
    seconds: list[float] = []
    for _ in range(runs):
        synchronize()
        start = time.perf_counter()
        run()
        synchronize()
        seconds.append(time.perf_counter() - start)
    return Latency(seconds=tuple(seconds), warmup=warmup)


@dataclass(frozen=True)
class Prepared:
    """A case that is ready to be timed: `run` does it once, `synchronize` waits for the device."""

    case: str
    run: Callable[[], object]
    synchronize: Callable[[], None]


class Meter:
    """Times a prepared case, and weighs what the process takes for it.

    Args:
        on_gpu: whether the driver is asked for the memory of the accelerator too.
    """

    def __init__(self, *, on_gpu: bool) -> None:
        self._on_gpu = on_gpu
        self._not_the_models = resident_bytes()
        self._weighed: Prepared | None = None  # whose memory on the GPU is known

    def leave_out(self, added: int) -> None:
        """Takes bytes off that the gate itself has come to hold since, such as an exporter."""
        self._not_the_models += max(0, added)

    def measure(self, prepared: Prepared, warmup: int, runs: int) -> Latency:
        """Latencies, and the peak of memory while they were taken; warm-up included."""
        trim()  # what an earlier run has left behind is not this one's
        with PeakMemory() as memory:
            latency = time_runs(prepared.run, prepared.synchronize, warmup, runs)
        on_device = None
        if (
            self._on_gpu and self._weighed is not prepared
        ):  # arenas stay: once is enough, and it takes a while
            on_device, self._weighed = device_bytes(os.getpid()), prepared
        own = max(0, memory.rss_bytes - self._not_the_models)
        return replace(latency, own_bytes=own, device_bytes=on_device)


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
        self.rss_bytes = high_water_mark()


def resident_bytes() -> int:
    """Resident memory of this process now; where the system doesn't say, its peak so far."""
    trim()
    return _status("VmRSS") or high_water_mark()


def trim() -> None:
    """Gives free memory of the C allocator back to the system, where that is glibc's."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _status(field: str) -> int | None:
    """Bytes of a field of ``/proc/self/status``; None where there is none: not Linux."""
    with suppress(OSError):
        for line in _STATUS.read_text().splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) * 1024
    return None


def high_water_mark() -> int:
    """Greatest resident size in bytes since the mark was last set back."""
    if (mark := _status("VmHWM")) is not None:
        return mark
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # macOS counts in bytes, others in KiB
