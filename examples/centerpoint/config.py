"""The model configuration: `configs/*.yaml` as frozen dataclasses. A key too many or too few is an error."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

POINT_FEATURES = 5  # x, y, z (metres), intensity (0..255), ring (0..31)
DECORATED_FEATURES = POINT_FEATURES + 3 + 3  # and the offsets from the cluster mean and the pillar centre


@dataclass(frozen=True)
class Voxelization:
    """`point_cloud_range` is x, y, z from, then x, y, z to; it and `voxel_size` (x, y, z) are in metres."""

    point_cloud_range: tuple[float, ...]
    voxel_size: tuple[float, ...]
    max_points: int
    max_voxels: int

    @property
    def grid(self) -> tuple[int, int, int]:
        """How many pillars there are along x, y and z; pillars have one layer."""
        low, high = self.point_cloud_range[:3], self.point_cloud_range[3:]
        x, y, z = (round((b - a) / size) for a, b, size in zip(low, high, self.voxel_size, strict=True))
        return x, y, z


@dataclass(frozen=True)
class Norm:
    """What batch norms are made with."""

    eps: float
    momentum: float


@dataclass(frozen=True)
class VoxelEncoder:
    """PillarFeatureNet."""

    feat_channels: tuple[int, ...]
    norm: Norm


@dataclass(frozen=True)
class Backbone:
    """SECOND: `layer_nums` counts the layers of each block after its first, which has the stride."""

    out_channels: tuple[int, ...]
    layer_nums: tuple[int, ...]
    layer_strides: tuple[int, ...]
    norm: Norm


@dataclass(frozen=True)
class Neck:
    """SECONDFPN: brings each block's output back to the resolution of the first."""

    out_channels: tuple[int, ...]
    upsample_strides: tuple[int, ...]
    norm: Norm


@dataclass(frozen=True)
class Head:
    """CenterHead of one task: `branches` has the channels of each, in the order of the outputs."""

    shared_channels: int
    branches: dict[str, int]
    branch_kernel: int
    heatmap_bias: float
    norm: Norm


@dataclass(frozen=True)
class Config:
    """One detector."""

    voxelization: Voxelization
    voxel_encoder: VoxelEncoder
    backbone: Backbone
    neck: Neck
    head: Head


def load_config(path: str | Path) -> Config:
    """Reads a configuration.

    Raises:
        TypeError: a key is unknown or missing.
    """
    sections: dict[str, Any] = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    kinds = {
        "voxelization": Voxelization,
        "voxel_encoder": VoxelEncoder,
        "backbone": Backbone,
        "neck": Neck,
        "head": Head,
    }
    if unknown := sections.keys() - kinds:
        raise TypeError(f"{path}: unknown section {', '.join(sorted(unknown))}")
    # A missing section is left out here, so that `Config` names it.
    parts = {name: kind(**_values(sections[name])) for name, kind in kinds.items() if name in sections}
    return Config(**parts)


def _values(section: dict[str, Any]) -> dict[str, Any]:
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in section.items()}
    if "norm" in section:
        values["norm"] = Norm(**section["norm"])
    return values
