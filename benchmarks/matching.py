"""Time of matching the rows of a detector's outputs one to one, against measuring them in their order.

    python benchmarks/matching.py [--rows 10000] [--rounds 5]

Each line is a way in which 10,000 detections may come: boxes (n, 4) and scores in float32, labels in int64,
matched as a group. Taken in turns with it is what the gate does without `match`.
"""

from __future__ import annotations

import argparse
import statistics
import time
import tracemalloc
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from parity.measuring import measure
from parity.measuring.matching import Alignment, Side, align_rows
from parity.records.measurements import Tolerance

Detections = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.int64]]
ATOL_BOX, ATOL_SCORE, CLASSES = 0.01, 1e-3, 80


def detections(rows: int, rng: np.random.Generator) -> Detections:
    """Boxes in an image of 1000 x 1000, scores, classes."""
    boxes = (rng.random((rows, 4)) * 1000).astype(np.float32)
    return boxes, rng.random(rows).astype(np.float32), rng.integers(0, CLASSES, rows)


def shuffled(reference: Detections, rng: np.random.Generator, noise: float = 1e-3) -> Detections:
    """The same in another order, with errors far below the tolerance."""
    boxes, scores, labels = reference
    order = rng.permutation(len(boxes))
    errors = (noise * rng.standard_normal(boxes.shape)).astype(np.float32)
    return boxes[order] + errors[order], scores[order], labels[order]


def padded(reference: Detections, rng: np.random.Generator) -> tuple[Detections, Detections]:
    """All but 300 rows are zeros, as a graph of fixed shapes returns them."""
    boxes, scores, labels = (side.copy() for side in reference)
    for side in (boxes, scores, labels):
        side[300:] = 0
    whole = boxes, scores, labels
    return whole, shuffled(whole, rng, noise=0.0)


def crowded(reference: Detections, rng: np.random.Generator) -> tuple[Detections, Detections]:
    """Boxes in clusters of twenty that are within the tolerance of each other, of one class."""
    boxes, scores, labels = (side.copy() for side in reference)
    centre = np.arange(len(boxes)) // 20 * 20
    boxes = boxes[centre] + (2e-3 * rng.random(boxes.shape)).astype(np.float32)
    whole = boxes, scores[centre], labels[centre]
    return whole, shuffled(whole, rng)


def moved(reference: Detections, rng: np.random.Generator) -> tuple[Detections, Detections]:
    """Five hundred boxes are half a pixel off."""
    boxes, scores, labels = shuffled(reference, rng)
    boxes[:500] += np.float32(0.5)
    return reference, (boxes, scores, labels)


def match(reference: Detections, candidate: Detections) -> Alignment:
    bounds = (ATOL_BOX, ATOL_SCORE, 0.0)
    return align_rows([Side(r, c, atol) for r, c, atol in zip(reference, candidate, bounds, strict=True)])


def measure_all(reference: Detections, candidate: Detections) -> None:
    for r, c in zip(reference, candidate, strict=True):
        measure(r, c, Tolerance(pattern="*", atol=ATOL_BOX))


def seconds(work: Callable[[Detections, Detections], object], sides: tuple[Detections, Detections]) -> float:
    started = time.perf_counter()
    work(*sides)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    reference = detections(arguments.rows, rng)
    ways = {
        "another order": (reference, shuffled(reference, rng)),
        "500 rows beyond the tolerance": moved(reference, rng),
        "padded with zeros": padded(reference, rng),
        "clusters of 20 within the tolerance": crowded(reference, rng),
    }
    print(f"{arguments.rows:,} rows, {arguments.rounds} rounds: matching, extra memory, measuring in order")
    for name, sides in ways.items():
        seconds(match, sides)  # warms up
        turns = [(seconds(match, sides), seconds(measure_all, sides)) for _ in range(arguments.rounds)]
        tracemalloc.start()
        found = match(*sides)
        extra = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        ours, plain = (statistics.median(turn[at] for turn in turns) for at in (0, 1))
        pairs = f"{len(found.reference):,} pairs"
        print(f"| {name} | {ours:.2f} s | {extra / 2**20:.0f} MiB | {1e3 * plain:.1f} ms | {pairs} |")


if __name__ == "__main__":
    main()
