"""CenterPoint with pillars, in plain PyTorch: the two parts that are exported to ONNX.

Module names, layers and defaults are those of mmdet3d (PillarFeatureNet, SECOND, SECONDFPN, CenterHead),
so that paths read alike: `backbone.blocks.1.4`, `neck.deblocks.0.0`, `head.task_heads.0.heatmap.1`.
The parameters of each `forward` are named as the inputs of the ONNX files.
"""

from __future__ import annotations

from pathlib import Path

import torch
from config import DECORATED_FEATURES, Backbone, Head, Neck, Norm, VoxelEncoder, load_config
from torch import Tensor, nn


def build_voxel_encoder(config: str | Path) -> nn.Module:
    """`pts_voxel_encoder.onnx`: decorated points of pillars -> one feature vector a pillar."""
    return PillarFeatureNet(load_config(config).voxel_encoder)


def build_backbone_head(config: str | Path) -> nn.Module:
    """`pts_backbone_neck_head.onnx`: canvas of pillar features -> maps of the six branches."""
    return BackboneNeckHead(config)


class PFNLayer(nn.Module):
    """Linear, batch norm, ReLU, max over the points of a pillar.

    All but the last layer keep each point's features and concatenate the pillar's maximum with them. As in
    mmdet3d, `out_channels` counts both halves.
    """

    def __init__(self, in_channels: int, out_channels: int, norm: Norm, *, last: bool) -> None:
        super().__init__()
        units = out_channels if last else out_channels // 2
        self.last = last
        self.linear = nn.Linear(in_channels, units, bias=False)
        self.norm = nn.BatchNorm1d(units, eps=norm.eps, momentum=norm.momentum)

    def forward(self, features: Tensor) -> Tensor:
        """(num_voxels, max_points, in) -> (num_voxels, max_points, out); the last: (num_voxels, 1, out)."""
        x = self.linear(features)
        x = self.norm(x.transpose(1, 2)).transpose(1, 2)  # BatchNorm1d takes the channels second
        x = torch.relu(x)
        pooled = x.amax(dim=1, keepdim=True)
        return pooled if self.last else torch.cat([x, pooled.expand_as(x)], dim=2)


class PillarFeatureNet(nn.Module):
    """Two PFN layers. The points are decorated before (`voxelize.decorate`), as in the ONNX files."""

    def __init__(self, config: VoxelEncoder) -> None:
        super().__init__()
        outs = config.feat_channels
        ins = (DECORATED_FEATURES, *outs)
        self.pfn_layers = nn.ModuleList(
            PFNLayer(ins[i], outs[i], config.norm, last=i == len(outs) - 1) for i in range(len(outs))
        )

    def forward(self, input_features: Tensor) -> Tensor:
        """(num_voxels, max_points, 11) -> (num_voxels, 32), the ONNX output `pillar_features`."""
        x = input_features
        for layer in self.pfn_layers:
            x = layer(x)
        return x.squeeze(1)


class SECOND(nn.Module):
    """Three blocks of 3x3 convolutions; the first of each has the stride."""

    def __init__(self, in_channels: int, config: Backbone) -> None:
        super().__init__()
        ins = (in_channels, *config.out_channels)
        figures = zip(ins, config.out_channels, config.layer_nums, config.layer_strides, strict=False)
        self.blocks = nn.ModuleList(self._block(*each, config.norm) for each in figures)

    @staticmethod
    def _block(in_channels: int, out_channels: int, layer_num: int, stride: int, norm: Norm) -> nn.Sequential:
        layers: list[nn.Module] = []
        for i in range(1 + layer_num):
            conv = (
                nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)
                if i == 0
                else nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
            )
            layers += [conv, _batch_norm(out_channels, norm), nn.ReLU(inplace=True)]
        return nn.Sequential(*layers)

    def forward(self, x: Tensor) -> list[Tensor]:
        """(batch, 32, H, W) -> 64 channels at H x W, 128 at H/2 x W/2, 256 at H/4 x W/4."""
        outs = []
        for block in self.blocks:
            x = block(x)
            outs.append(x)
        return outs


class SECONDFPN(nn.Module):
    """Brings the backbone's outputs to one size: transposed convolutions, a plain one at stride 1."""

    def __init__(self, in_channels: tuple[int, ...], config: Neck) -> None:
        super().__init__()
        figures = zip(in_channels, config.out_channels, config.upsample_strides, strict=True)
        self.deblocks = nn.ModuleList(self._deblock(*each, config.norm) for each in figures)

    @staticmethod
    def _deblock(in_channels: int, out_channels: int, stride: int, norm: Norm) -> nn.Sequential:
        kind = nn.Conv2d if stride == 1 else nn.ConvTranspose2d
        upsample = kind(in_channels, out_channels, kernel_size=stride, stride=stride, bias=False)
        return nn.Sequential(upsample, _batch_norm(out_channels, norm), nn.ReLU(inplace=True))

    def forward(self, x: list[Tensor]) -> Tensor:
        """The backbone's outputs -> (batch, 384, H, W)."""
        return torch.cat([deblock(each) for deblock, each in zip(self.deblocks, x, strict=True)], dim=1)


class ConvModule(nn.Sequential):
    """Convolution of the same size, batch norm, in-place ReLU, by mmcv's names."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, norm: Norm) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=False)
        self.bn = _batch_norm(out_channels, norm)
        self.activate = nn.ReLU(inplace=True)


class SeparateHead(nn.Module):
    """Two convolutions for each branch: one with batch norm and ReLU, one with a bias alone."""

    def __init__(self, config: Head) -> None:
        super().__init__()
        self.branches = tuple(config.branches)
        width, kernel = config.shared_channels, config.branch_kernel
        for name, channels in config.branches.items():
            last = nn.Conv2d(width, channels, kernel, padding=kernel // 2)
            if name == "heatmap":
                nn.init.constant_(_bias(last), config.heatmap_bias)
            self.add_module(name, nn.Sequential(ConvModule(width, width, kernel, config.norm), last))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(batch, 64, H, W) -> (batch, channels, H, W) for each branch."""
        return {name: self.get_submodule(name)(x) for name in self.branches}


class CenterHead(nn.Module):
    """A shared convolution and the branches of the only task."""

    def __init__(self, in_channels: int, config: Head) -> None:
        super().__init__()
        self.shared_conv = ConvModule(in_channels, config.shared_channels, 3, config.norm)
        self.task_heads = nn.ModuleList([SeparateHead(config)])

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(batch, 384, H, W) -> heatmap (logits), reg, height, dim, rot, vel: (batch, channels, H, W)."""
        outputs: dict[str, Tensor] = self.task_heads[0](self.shared_conv(x))
        return outputs


class BackboneNeckHead(nn.Module):
    """SECOND, SECONDFPN and CenterHead: all that comes after the scatter."""

    def __init__(self, config: str | Path) -> None:
        super().__init__()
        figures = load_config(config)
        self.backbone = SECOND(figures.voxel_encoder.feat_channels[-1], figures.backbone)
        self.neck = SECONDFPN(figures.backbone.out_channels, figures.neck)
        self.head = CenterHead(sum(figures.neck.out_channels), figures.head)

    def forward(self, spatial_features: Tensor) -> dict[str, Tensor]:
        """(batch, 32, H, W) -> the six branches, by their names as ONNX outputs; see `CenterHead`."""
        outputs: dict[str, Tensor] = self.head(self.neck(self.backbone(spatial_features)))
        return outputs


def _batch_norm(channels: int, norm: Norm) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=norm.eps, momentum=norm.momentum)


def _bias(conv: nn.Conv2d) -> Tensor:
    assert conv.bias is not None
    return conv.bias
