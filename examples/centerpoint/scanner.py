"""A simulated 32-beam LiDAR in a street: ray casting against the ground and oriented boxes.

The geometry is that of nuScenes' LIDAR_TOP (32 beams from -30.67 to +10.67 degrees, 1084 azimuths a turn,
1.84 m above the road). Coordinates are the sensor's: metres, z upward, the road at z = -1.84.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Points = npt.NDArray[np.float32]

BEAMS = 32
AZIMUTHS = 1084
ELEVATIONS: Floats = np.radians(np.linspace(-30.67, 10.67, BEAMS))  # of each ring, from the lowest up
SENSOR_HEIGHT = 1.84
MAX_RANGE = 100.0
RANGE_NOISE = 0.02  # standard deviation, metres
GROUND_REFLECTIVITY = 0.12


@dataclass(frozen=True)
class Box:
    """A solid that stands on the road.

    Attributes:
        x, y: centre, metres.
        length, width, height: extents along its own axes, metres.
        yaw: heading, radians.
        reflectivity: share of the light that comes back at normal incidence, 0..1.
    """

    x: float
    y: float
    length: float
    width: float
    height: float
    yaw: float
    reflectivity: float


@dataclass(frozen=True)
class Hits:
    """For each ray: the distance (``inf``: nothing there), the cosine of incidence, the reflectivity."""

    distance: Floats
    cosine: Floats
    reflectivity: Floats


def simulate_sweep(seed: int) -> Points:
    """One turn of the scanner in a street of its own: x, y, z, intensity (0..255), ring (0..31).

    Returns:
        (N, 5) float32, in the order of the firings: by azimuth, then by ring. The same for the same seed.
    """
    random = np.random.default_rng(seed)
    return scan(list(street(random)), random)


def scan(boxes: list[Box], random: np.random.Generator) -> Points:
    """What the scanner sees of `boxes` and the ground; see `simulate_sweep`."""
    azimuth = np.repeat(np.linspace(0.0, 2.0 * np.pi, AZIMUTHS, endpoint=False), BEAMS)
    ring = np.tile(np.arange(BEAMS), AZIMUTHS)
    elevation = ELEVATIONS[ring]
    directions = np.stack(
        [np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)], axis=1
    )
    hits = cast(directions, boxes)
    strength = hits.reflectivity * np.sqrt(hits.cosine)
    # A return is lost where it is weak: dark, grazing or far.
    seen = hits.distance < MAX_RANGE * np.clip(4.0 * strength, 0.2, 1.0)
    seen &= random.random(len(seen)) > 0.02
    distance = hits.distance[seen] + random.normal(0.0, RANGE_NOISE, seen.sum())
    intensity = np.clip(np.rint(255.0 * strength[seen] * random.normal(1.0, 0.1, seen.sum())), 0, 255)
    points = np.column_stack([directions[seen] * distance[:, None], intensity, ring[seen]])
    return points.astype(np.float32)


def cast(directions: Floats, boxes: list[Box]) -> Hits:
    """The first thing that each ray from the sensor meets: nearer boxes hide what is behind them.

    Args:
        directions: (rays, 3) unit vectors.
        boxes: none of them around the sensor itself.
    """
    with np.errstate(divide="ignore"):
        to_ground = -SENSOR_HEIGHT / directions[:, 2]
    downward = directions[:, 2] < 0
    distance = np.where(downward, to_ground, np.inf)
    cosine = np.where(downward, -directions[:, 2], 0.0)
    reflectivity = np.where(downward, GROUND_REFLECTIVITY, 0.0)
    for box in boxes:
        box_distance, box_cosine = _cast_at_box(directions, box)
        nearer = box_distance < distance
        distance = np.where(nearer, box_distance, distance)
        cosine = np.where(nearer, box_cosine, cosine)
        reflectivity = np.where(nearer, box.reflectivity, reflectivity)
    return Hits(distance, cosine, reflectivity)


def _cast_at_box(directions: Floats, box: Box) -> tuple[Floats, Floats]:
    """Distance (``inf`` for a miss) and cosine of incidence: the slab method, in the box's own axes."""
    cos, sin = np.cos(box.yaw), np.sin(box.yaw)
    to_box = np.array([[cos, sin, 0.0], [-sin, cos, 0.0], [0.0, 0.0, 1.0]])
    centre = to_box @ np.array([box.x, box.y, box.height / 2 - SENSOR_HEIGHT])
    half = np.array([box.length, box.width, box.height]) / 2
    rays = directions @ to_box.T
    rays = np.where(rays == 0.0, 1e-12, rays)  # parallel to a face: the crossing is far off, not undefined
    one, other = (centre - half) / rays, (centre + half) / rays
    entries = np.minimum(one, other)
    entry = entries.max(axis=1)
    leave = np.maximum(one, other).min(axis=1)
    face = entries.argmax(axis=1)
    hit = (entry > 0.0) & (entry <= leave)
    return np.where(hit, entry, np.inf), np.abs(rays[np.arange(len(rays)), face])


def street(random: np.random.Generator) -> Iterator[Box]:
    """Buildings on both sides, parked cars, traffic in both lanes, trucks, people and poles."""
    heading = random.uniform(0.0, 2.0 * np.pi)

    def at(along: float, across: float, size: tuple[float, float, float], reflectivity: float) -> Box:
        x = along * np.cos(heading) - across * np.sin(heading)
        y = along * np.sin(heading) + across * np.cos(heading)
        return Box(x, y, *size, heading + random.normal(0.0, 0.03), reflectivity)

    for side in (-1.0, 1.0):
        along = random.uniform(-90.0, -80.0)
        while along < 80.0:
            length = random.uniform(8.0, 25.0)
            size = (length, 8.0, random.uniform(3.0, 15.0))
            yield at(along + length / 2, side * random.uniform(15.0, 19.0), size, random.uniform(0.2, 0.6))
            along += length + random.uniform(1.0, 8.0)
        for slot in np.arange(-60.0, 60.0, 6.5):
            if random.random() < 0.6:
                size = (random.uniform(3.8, 4.9), random.uniform(1.6, 1.9), random.uniform(1.4, 1.8))
                yield at(slot, side * random.uniform(6.2, 6.6), size, random.uniform(0.05, 0.8))
        for _ in range(6):
            size = (0.6, 0.6, random.uniform(1.5, 1.9))
            yield at(random.uniform(-30.0, 30.0), side * random.uniform(8.0, 10.0), size, 0.3)
        for along in np.arange(-75.0, 76.0, 25.0):
            yield at(along + random.uniform(-2.0, 2.0), side * 10.5, (0.2, 0.2, 6.0), 0.7)
    # The sensor's own lane is at 0, the oncoming one at 3.5 m; nothing stands around the sensor.
    for lane, nearest in ((0.0, 9.0), (3.5, 4.0)):
        for direction in (-1.0, 1.0):
            along = nearest + random.uniform(0.0, 10.0)
            while along < 80.0:
                truck = random.random() < 0.15
                size = (9.0, 2.5, 3.4) if truck else (4.5, 1.8, 1.5)
                yield at(direction * (along + size[0] / 2), lane, size, random.uniform(0.1, 0.8))
                along += size[0] + random.uniform(6.0, 30.0)
