"""The C allocator, told to keep what is freed while one large tensor is made after the other.

glibc maps every block of more than 32 MiB anew and unmaps it when it is freed, so that the kernel hands out
all of its pages one by one, each filled with zeros: a fifth of the CPU time of a diagnosis, measured.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from parity.records.jobs import MEMORY_LIMIT
from parity.worker.profiling import high_water_mark, trim

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4  # of malloc.h; see mallopt(3)
_REUSING = ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, 2**31 - 1))
# The figures that glibc has come to by itself once a block of 32 MiB was freed, and mmap's limit.
_USUAL = ((_MMAP_MAX, 1 << 16), (_MMAP_THRESHOLD, 32 << 20), (_TRIM_THRESHOLD, 64 << 20))
# Times the peak of the last run: float64 doubles what that held, blocks that fit nothing double it again.
_ROOM = 5
_GROUP = Path("/sys/fs/cgroup")  # a container's own
_LIMIT, _TAKEN = _GROUP / "memory.max", _GROUP / "memory.current"


def has_room() -> bool:
    """Whether there is memory for several times what this process held at most since its last run began."""
    peak = high_water_mark()
    free: int = psutil.virtual_memory().available
    with suppress(KeyError, ValueError):  # no limit of the gate's
        free = min(free, int(os.environ[MEMORY_LIMIT]) - psutil.Process().memory_info().rss)
    with suppress(OSError, ValueError):  # no such group, or one without a limit
        free = min(free, int(_LIMIT.read_text()) - int(_TAKEN.read_text()))
    return free >= _ROOM * peak


@contextmanager
def reusing_memory() -> Iterator[None]:
    """Freed memory stays with this process and serves the next tensor; afterwards the system gets it back.

    The process holds up to twice what it needs meanwhile, for blocks that are free seldom have the right
    size. Does nothing where there is not much more memory than that, or the allocator is not glibc's.
    """
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version") or not has_room():
        yield
        return
    mallopt = library.mallopt
    for parameter, value in _REUSING:
        mallopt(parameter, value)
    try:
        yield
    finally:
        for parameter, value in _USUAL:
            mallopt(parameter, value)
        trim()
