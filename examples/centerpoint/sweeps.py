"""Reads recorded LiDAR sweeps: `.bin` files of float32 in the nuScenes or the KITTI layout."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
from scanner import BEAMS, ELEVATIONS, Points

Layout = Literal["nuscenes", "kitti"]
COLUMNS: dict[Layout, int] = {"nuscenes": 5, "kitti": 4}


def read_sweep(path: str | Path, layout: str | None = None) -> Points:
    """One sweep as x, y, z (metres), intensity (0..255), ring (0..31): (N, 5) float32.

    - nuScenes: x, y, z, intensity 0..255, ring. Taken as it is.
    - KITTI: x, y, z, reflectance 0..1. The reflectance is scaled to 0..255; the file has no ring, so it is
      the ring of the simulated scanner whose elevation is nearest, and 64 beams share 32 rings.

    Args:
        path: the file. `.pcd.bin` is nuScenes' own name for its layout; of other names the size decides,
            and where it fits both, whether the columns hold what the layout says.
        layout: `nuscenes` or `kitti`, where the caller knows.

    Raises:
        ValueError: the file fits neither layout, not the one asked for, or both.
    """
    path = Path(path)
    data = path.read_bytes()
    if layout is not None and layout not in get_args(Layout):
        raise ValueError(f"unknown layout {layout!r}: nuscenes or kitti")
    asked = layout or ("nuscenes" if path.name.endswith(".pcd.bin") else None)
    candidates = [kind for kind in get_args(Layout) if asked in (None, kind)]
    fitting = [kind for kind in candidates if _fits(data, kind)]
    if not fitting:
        raise ValueError(
            f"{path}: {len(data):,} bytes are no sweep in the layout of {' or '.join(candidates)}: "
            "little-endian float32, 5 to a point with the ring last, or 4 with a reflectance of 0..1"
        )
    if len(fitting) > 1:
        raise ValueError(f"{path} fits both layouts: say which it is, nuscenes or kitti")
    points = _table(data, COLUMNS[fitting[0]])
    return points if fitting[0] == "nuscenes" else _from_kitti(points)


def _fits(data: bytes, layout: Layout) -> bool:
    """Whether size and values are those of the layout."""
    columns = COLUMNS[layout]
    if not data or len(data) % (4 * columns):
        return False
    points = _table(data, columns)
    if not (np.abs(points[:, :3]) < 1000.0).all():  # also not where a coordinate is NaN
        return False
    last = points[:, -1]
    if layout == "kitti":
        return bool(((last >= 0.0) & (last <= 1.0)).all())
    intensity = points[:, 3]
    rings = (last >= 0) & (last < BEAMS) & (last == np.rint(last))
    return bool(((intensity >= 0.0) & (intensity <= 255.0) & rings).all())


def _table(data: bytes, columns: int) -> Points:
    return np.frombuffer(data, dtype="<f4").reshape(-1, columns).astype(np.float32)


def _from_kitti(points: Points) -> Points:
    elevation = np.arctan2(points[:, 2], np.hypot(points[:, 0], points[:, 1]))
    rings: npt.NDArray[np.intp] = np.abs(elevation[:, None] - ELEVATIONS).argmin(axis=1)
    return np.column_stack([points[:, :3], 255.0 * points[:, 3], rings]).astype(np.float32)
