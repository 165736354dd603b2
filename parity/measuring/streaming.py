"""Walks two tensors in chunks that stay in a core's cache, on every core that this process may use.

A block is what one thread takes at a time; its result depends on the tensors alone, and results come back in
order, so a measurement is the same whatever the number of threads.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from parity.artifacts import Array

CHUNK = 1 << 16  # elements: two buffers of float64 are 1 MiB, the second-level cache of one core
BLOCK = 32 * CHUNK

T = TypeVar("T")


def over_blocks(work: Callable[[int, int], T], elements: int) -> Iterator[T]:
    """Calls `work(start, stop)` on each block of so many elements; yields the results in order."""
    spans = [(start, min(start + BLOCK, elements)) for start in range(0, elements, BLOCK)]
    threads = min(len(spans), _cores())
    if threads <= 1:
        yield from (work(*span) for span in spans)
        return
    with ThreadPoolExecutor(threads, thread_name_prefix="measuring") as pool:
        yield from pool.map(lambda span: work(*span), spans)


def chunks(start: int, stop: int) -> list[tuple[int, int]]:
    """The chunks of one block as (start, stop); none is longer than the first."""
    return [(at, min(at + CHUNK, stop)) for at in range(start, stop, CHUNK)]


def window(array: Array, start: int, stop: int) -> Array:
    """Elements start to stop of an array in C order, one-dimensional; a view where the memory allows."""
    return array.reshape(-1)[start:stop] if array.flags.c_contiguous else array.flat[start:stop]


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # only Linux tells which cores this process may use
        return os.cpu_count() or 1
