"""Time and extra memory of measuring two float32 tensors, against other comparators.

    python benchmarks/comparing.py [--elements 100000000] [--rounds 5]

Ours takes all default statistics of a report. Each contender has a process of its own and reads the same two
files, mapped; they take turns, and a first round that warms caches is not counted. Extra memory is the
greatest resident memory over all rounds, less that before the first, when both tensors were resident already.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Tensor = npt.NDArray[np.float32]
Compare = Callable[[], object]
ATOL = RTOL = 1e-4
BLOCK = 1 << 22


def ours(reference: Tensor, candidate: Tensor) -> Compare:
    from parity.measuring import measure
    from parity.records.measurements import Tolerance

    tolerance = Tolerance(pattern="*", atol=ATOL, rtol=RTOL)
    return lambda: measure(reference, candidate, tolerance)


def torch_assert_close(reference: Tensor, candidate: Tensor) -> Compare:
    import torch

    tensors = torch.from_numpy(candidate), torch.from_numpy(reference)
    return lambda: torch.testing.assert_close(*tensors, atol=ATOL, rtol=RTOL)


def numpy_assert_allclose(reference: Tensor, candidate: Tensor) -> Compare:
    return lambda: np.testing.assert_allclose(candidate, reference, atol=ATOL, rtol=RTOL)


def polygraphy_simple(reference: Tensor, candidate: Tensor) -> Compare:
    from polygraphy import comparator
    from polygraphy.logger import G_LOGGER

    G_LOGGER.module_severity = G_LOGGER.ERROR
    # Version 0.53 made a class of the function.
    make = getattr(comparator, "SimpleCompareFunc", None) or comparator.CompareFunc.simple
    compare = make(atol=ATOL, rtol=RTOL)
    left, right = (comparator.IterationResult({"y": side}) for side in (candidate, reference))
    return lambda: compare(left, right)


CONTENDERS: dict[str, tuple[str, Callable[[Tensor, Tensor], Compare]]] = {
    "ours": ("parity.measuring.measure", ours),
    "torch": ("torch.testing.assert_close", torch_assert_close),
    "numpy": ("np.testing.assert_allclose", numpy_assert_allclose),
    "polygraphy": ("polygraphy SimpleCompareFunc", polygraphy_simple),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--elements", type=int, default=100_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--contend", nargs=2, metavar=("NAME", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.contend:
        contend(arguments.contend[0], Path(arguments.contend[1]))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            print_table(Path(temporary), arguments.elements, arguments.rounds)


def contend(name: str, folder: Path) -> None:
    """A contender's process: each line read is a turn, answered with seconds and extra bytes."""
    reference, candidate = (
        # Copy on write, since torch wants memory that could be written.
        np.asarray(np.load(folder / f"{side}.npy", mmap_mode="c"))
        for side in ("reference", "candidate")
    )
    make = CONTENDERS[name][1]
    make(reference[:1000], candidate[:1000])()  # imports whatever is imported late
    for tensor in (reference, candidate):
        tensor.sum()  # makes it resident
    before = _resident()
    compare = make(reference, candidate)
    for _ in sys.stdin:
        started = time.perf_counter()
        compare()
        seconds = time.perf_counter() - started
        print(json.dumps([seconds, _peak_resident() - before]), flush=True)


def print_table(folder: Path, elements: int, rounds: int) -> None:
    from rich.console import Console
    from rich.table import Table

    _write_tensors(folder, elements)
    processes = {name: _start(name, folder) for name in CONTENDERS}
    turns = [{name: _turn(process) for name, process in processes.items()} for _ in range(rounds + 1)]
    for process in processes.values():
        process.communicate()
    table = Table("comparing", "median", "ours is faster by", "(range)", "extra memory", "of the tensors")
    for name, (title, _) in CONTENDERS.items():
        seconds = [turn[name][0] for turn in turns[1:]]
        ratios = [turn[name][0] / turn["ours"][0] for turn in turns[1:]]
        extra = max(turn[name][1] for turn in turns)
        table.add_row(
            title,
            f"{statistics.median(seconds):.2f} s",
            f"{statistics.median(ratios):.1f} x",
            f"{min(ratios):.1f} to {max(ratios):.1f}",
            f"{extra / 2**20:.0f} MiB",
            f"{100 * extra / (2 * 4 * elements):.1f} %",
        )
    console = Console(width=110)  # also where the output is no terminal
    console.print(f"two float32 tensors of {elements:,} elements, {os.cpu_count()} cores, {rounds} rounds")
    console.print(table)


def _write_tensors(folder: Path, elements: int) -> None:
    """Numbers around 1 that differ by rounding-sized errors: every contender finds them close."""
    rng = np.random.default_rng(0)
    sides = [
        np.lib.format.open_memmap(folder / f"{side}.npy", "w+", np.float32, (elements,))
        for side in ("reference", "candidate")
    ]
    for start in range(0, elements, BLOCK):
        block = slice(start, min(start + BLOCK, elements))
        values = rng.standard_normal(block.stop - block.start, np.float32)
        sides[0][block] = values
        sides[1][block] = values + np.float32(1e-6) * rng.standard_normal(len(values), np.float32)


def _start(name: str, folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, __file__, "--contend", name, str(folder)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _turn(process: subprocess.Popen[str]) -> tuple[float, int]:
    assert process.stdin
    assert process.stdout
    process.stdin.write("\n")
    process.stdin.flush()
    answer: Any = json.loads(process.stdout.readline())
    return answer[0], answer[1]


def _resident() -> int:
    import psutil

    return int(psutil.Process().memory_info().rss)


def _peak_resident() -> int:
    """On Linux from /proc: there, getrusage starts a process with the peak of the one that started it."""
    status = Path("/proc/self/status")
    if status.exists():
        peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(peak.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    main()
