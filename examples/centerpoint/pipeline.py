"""One sweep through the detector: what stands before, between and after the two networks.

The gate runs these functions twice, with PyTorch stages and with ONNX stages. A stage is called with its
ONNX inputs by name and returns its ONNX outputs by name. All else here is the same code on both sides, on
the device that the points are on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from config import Voxelization, load_config
from torch import Tensor
from voxelize import decorate, scatter, voxelize

Stage = Callable[..., Mapping[str, Tensor]]

_CONFIGS = Path(__file__).parent / "configs"
_SMALL = load_config(_CONFIGS / "small.yaml").voxelization
_FULL = load_config(_CONFIGS / "full.yaml").voxelization


def run_small(stages: Mapping[str, Stage], inputs: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """`detect` on the 128 x 128 grid."""
    return detect(stages, inputs["points"], _SMALL)


def run_full(stages: Mapping[str, Stage], inputs: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """`detect` on the 760 x 760 grid."""
    return detect(stages, inputs["points"], _FULL)


def detect(stages: Mapping[str, Stage], points: Tensor, config: Voxelization) -> Mapping[str, Tensor]:
    """Points (N, 5) -> the maps of the six branches, each (1, channels, rows, columns)."""
    pillars = voxelize(points, config)
    features = decorate(pillars, config)
    pillar_features = stages["voxel_encoder"](input_features=features)["pillar_features"]
    canvas = scatter(pillar_features, pillars.coords, config)
    return stages["backbone_head"](spatial_features=canvas)
