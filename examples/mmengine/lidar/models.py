"""The detector's parts: pillar feature net, SECOND with its neck, a head with a branch for each quantity."""

from __future__ import annotations

import torch
from mmengine.model import BaseModel, BaseModule
from torch import Tensor, nn

from lidar.registry import MODELS


def block(width: int, channels: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(width, channels, 3, stride, 1, bias=False),
        nn.BatchNorm2d(channels, eps=1e-3),
        nn.ReLU(inplace=True),
    )


@MODELS.register_module()
class PillarFeatureNet(BaseModule):
    """(pillars, points, in_channels) -> (pillars, channels): the greatest over a pillar's points."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(in_channels, channels, bias=False)
        self.norm = nn.BatchNorm1d(channels, eps=1e-3)

    def forward(self, features: Tensor) -> Tensor:
        x = self.norm(self.linear(features).transpose(1, 2)).transpose(1, 2)
        return torch.relu(x).amax(1)


@MODELS.register_module()
class SECOND(BaseModule):
    """(batch, in_channels, y, x) -> the sum of `channels`, at the size of the first stage."""

    def __init__(self, in_channels: int, channels: list[int], layers: list[int]) -> None:
        super().__init__()
        widths = [in_channels, *channels[:-1]]
        self.stages = nn.ModuleList(
            nn.Sequential(block(width, own, stride=1 + (n > 0)), *(block(own, own) for _ in range(more)))
            for n, (width, own, more) in enumerate(zip(widths, channels, layers, strict=True))
        )
        self.ups = nn.ModuleList(
            nn.ConvTranspose2d(own, own, 2**n, 2**n, bias=False) for n, own in enumerate(channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        merged = []
        for stage, up in zip(self.stages, self.ups, strict=True):
            x = stage(x)
            merged.append(up(x))
        return torch.cat(merged, 1)


@MODELS.register_module()
class CenterHead(BaseModule):
    """(batch, in_channels, y, x) -> name of the branch: (batch, its channels, y, x)."""

    def __init__(self, in_channels: int, branches: dict[str, int]) -> None:
        super().__init__()
        self.shared = block(in_channels, 16)
        self.branches = nn.ModuleDict(
            {name: nn.Conv2d(16, width, 3, 1, 1) for name, width in branches.items()}
        )

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        x = self.shared(x)
        return {name: branch(x) for name, branch in self.branches.items()}


@MODELS.register_module()
class PillarDetector(BaseModel):
    """The whole; the scatter between its two halves is in the project's own code, not in an ONNX file."""

    def __init__(self, voxel_encoder: dict, backbone: dict, head: dict) -> None:
        super().__init__()
        self.voxel_encoder = MODELS.build(voxel_encoder)
        self.backbone = MODELS.build(backbone)
        self.head = MODELS.build(head)

    def forward(self, inputs: Tensor, *_samples_and_mode: object) -> dict[str, Tensor]:
        return self.head(self.backbone(inputs))
