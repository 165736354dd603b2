"""What the gate feeds the pipeline: `inputs.provider` names one of these functions."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from scanner import Points, simulate_sweep
from sweeps import read_sweep

SEEDS = (0, 1, 2)


def simulated() -> Iterator[dict[str, Points]]:
    """Sweeps of the simulated scanner, each in a street of its own."""
    for seed in SEEDS:
        yield {"points": simulate_sweep(seed)}


def recorded() -> Iterator[dict[str, Points]]:
    """Your own sweeps: `CENTERPOINT_SWEEPS` names a `.bin` file or a folder of them.

    `CENTERPOINT_LAYOUT` (nuscenes, kitti) says which layout they have; see `sweeps.read_sweep`.

    Raises:
        ValueError: the variable is not set, or there is no such file.
    """
    place = os.environ.get("CENTERPOINT_SWEEPS")
    if not place:
        raise ValueError("set CENTERPOINT_SWEEPS to a .bin file or a folder of them")
    path = Path(place).expanduser()
    files = sorted(path.glob("*.bin")) if path.is_dir() else [path]
    if not files or not files[0].is_file():
        raise ValueError(f"CENTERPOINT_SWEEPS: no .bin file at {path}")
    for file in files:
        yield {"points": read_sweep(file, os.environ.get("CENTERPOINT_LAYOUT"))}
