"""Points -> pillars -> the input of the voxel encoder; pillar features -> canvas.

Deterministic, and on the device of its input: the order is that of mmdet3d's deterministic voxelization,
where pillars stand in the order of their first point, and points in the order of the sweep.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from config import Voxelization
from torch import Tensor


@dataclass(frozen=True)
class Pillars:
    """Non-empty pillars.

    Attributes:
        points: (num_voxels, max_points, 5) float32; zero where a pillar has fewer points.
        num_points: (num_voxels,) int64; points of each pillar, at most `max_points`.
        coords: (num_voxels, 2) int64; row (along y) and column (along x) of each pillar in the grid.
    """

    points: Tensor
    num_points: Tensor
    coords: Tensor


def voxelize(points: Tensor, config: Voxelization) -> Pillars:
    """Sorts points (N, 5) into pillars: the first `max_voxels` pillars, the first `max_points` of each.

    Points out of range, or with a coordinate that is no finite number, are left out.

    Raises:
        ValueError: no point lies in range.
    """
    columns, rows, layers = config.grid
    low = points.new_tensor(config.point_cloud_range[:3])
    size = points.new_tensor(config.voxel_size)
    cells = torch.floor((points[:, :3] - low) / size)
    inside = ((cells >= 0) & (cells < points.new_tensor([columns, rows, layers]))).all(dim=1)
    points, cells = points[inside], cells[inside, :2].long()
    if not len(points):
        raise ValueError(f"no point of the sweep lies in the range {config.point_cloud_range}")

    # A stable sort brings the points of a pillar together without changing their order.
    keys, order = torch.sort(cells[:, 1] * columns + cells[:, 0], stable=True)
    keys, counts = torch.unique_consecutive(keys, return_counts=True)
    starts = counts.cumsum(0) - counts
    # Pillars by their first point: `position` of each of the sorted pillars in the result.
    by_first_point = torch.argsort(order[starts])
    position = torch.empty_like(by_first_point)
    position[by_first_point] = torch.arange(len(keys), device=points.device)

    pillar = torch.repeat_interleave(position, counts)
    slot = torch.arange(len(order), device=points.device) - torch.repeat_interleave(starts, counts)
    kept = (slot < config.max_points) & (pillar < config.max_voxels)
    num_voxels = min(len(keys), config.max_voxels)
    voxels = points.new_zeros(num_voxels, config.max_points, points.shape[1])
    voxels[pillar[kept], slot[kept]] = points[order[kept]]

    chosen = by_first_point[:num_voxels]
    coords = torch.stack([keys[chosen] // columns, keys[chosen] % columns], dim=1)
    return Pillars(voxels, counts[chosen].clamp(max=config.max_points), coords)


def decorate(pillars: Pillars, config: Voxelization) -> Tensor:
    """The encoder's `input_features`, (num_voxels, max_points, 11) float32.

    Beside the point's own five: its offsets (x, y, z) from the mean of the pillar's points and from the
    pillar's centre. Padding is zero throughout.
    """
    points, xyz = pillars.points, pillars.points[:, :, :3]
    mean = xyz.sum(dim=1, keepdim=True) / pillars.num_points.view(-1, 1, 1)
    low = points.new_tensor(config.point_cloud_range[:3])
    size = points.new_tensor(config.voxel_size)
    cell = torch.cat([pillars.coords.flip(1), torch.zeros_like(pillars.coords[:, :1])], dim=1)  # x, y, z
    centre = ((cell + 0.5) * size + low).unsqueeze(1)
    features = torch.cat([points, xyz - mean, xyz - centre], dim=2)
    slots = torch.arange(points.shape[1], device=points.device)
    return features * (slots < pillars.num_points.unsqueeze(1)).unsqueeze(2)


def scatter(pillar_features: Tensor, coords: Tensor, config: Voxelization) -> Tensor:
    """Pillar features (num_voxels, C) at their places on an empty canvas: (1, C, rows, columns)."""
    columns, rows, _ = config.grid
    canvas = pillar_features.new_zeros(pillar_features.shape[1], rows, columns)
    canvas[:, coords[:, 0], coords[:, 1]] = pillar_features.T
    return canvas.unsqueeze(0)
