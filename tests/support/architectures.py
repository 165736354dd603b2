"""Ten small networks in plain PyTorch, one for each family that people export, and their ONNX files.

Every class has `example_inputs(seed)` and the names of its inputs and outputs. `build` gives one in eval mode
with the same weights each time; `export` gives its ONNX model by either exporter. Where it does no harm, axes
have equal sizes, so that a wrong axis or permutation still runs.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import ClassVar, Literal

import onnx
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

Exporter = Literal["torchscript", "dynamo"]
EXPORTERS: tuple[Exporter, ...] = ("torchscript", "dynamo")


class Architecture(nn.Module):
    """Base of all: what a test needs to run and export a network."""

    input_names: ClassVar[tuple[str, ...]] = ("x",)
    output_names: ClassVar[tuple[str, ...]] = ("y",)
    opset: ClassVar[int] = 18

    def example_inputs(self, seed: int = 0) -> tuple[Tensor, ...]:
        """One set of inputs; another seed, another set of the same shapes."""
        raise NotImplementedError


def _normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


# --- ResNet, with pre-activation: its batch norms stand before the convolutions and are not fused


class PreActBlock(nn.Module):
    def __init__(self, width: int, out: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(width)
        self.conv1 = nn.Conv2d(width, out, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut = nn.Conv2d(width, out, 1, stride, bias=False) if stride > 1 or width != out else None

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(x))
        shortcut = x if self.shortcut is None else self.shortcut(y)
        y = self.conv2(self.relu(self.bn2(self.conv1(y))))
        return y + shortcut


class ResNet(Architecture):
    output_names = ("logits",)

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 7, 2, 3), nn.MaxPool2d(3, 2, 1))
        self.layer1 = nn.Sequential(PreActBlock(8, 8, 1), PreActBlock(8, 8, 1))
        self.layer2 = nn.Sequential(PreActBlock(8, 16, 2), PreActBlock(16, 16, 1))
        self.norm = nn.BatchNorm2d(16)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer2(self.layer1(self.stem(x)))
        x = self.avgpool(torch.relu(self.norm(x)))
        return self.fc(torch.flatten(x, 1))

    def example_inputs(self, seed: int = 0) -> tuple[Tensor, ...]:
        return (_normal(seed, 2, 3, 32, 32),)


# --- MobileNet: depthwise convolutions, ReLU6, hard swish, squeeze-and-excite, coordinate attention


class SqueezeExcite(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(width, width // 2, 1)
        self.expand = nn.Conv2d(width // 2, width, 1)
        self.gate = nn.Hardsigmoid()

    def forward(self, x: Tensor) -> Tensor:
        pooled = x.mean((2, 3), keepdim=True)
        return x * self.gate(self.expand(torch.relu(self.reduce(pooled))))


class RowAttention(nn.Module):
    """Gates each row by the mean over its columns."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.mix(x.mean(3, keepdim=True)))


class InvertedResidual(nn.Module):
    def __init__(self, width: int, hidden: int, act: type[nn.Module]) -> None:
        super().__init__()
        self.expand = nn.Sequential(nn.Conv2d(width, hidden, 1, bias=False), nn.BatchNorm2d(hidden), act())
        self.depthwise = nn.Sequential(
            nn.Conv2d(hidden, hidden, 3, 1, 1, groups=hidden, bias=False), nn.BatchNorm2d(hidden), act()
        )
        self.se = SqueezeExcite(hidden)
        self.project = nn.Sequential(nn.Conv2d(hidden, width, 1, bias=False), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.project(self.se(self.depthwise(self.expand(x))))


class MobileNet(Architecture):
    output_names = ("logits",)

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.Hardswish())
        self.blocks = nn.Sequential(InvertedResidual(8, 16, nn.ReLU6), InvertedResidual(8, 16, nn.Hardswish))
        self.rows = RowAttention(8)
        self.classifier = nn.Sequential(nn.Linear(8, 16), nn.Hardswish(), nn.Dropout(0.2), nn.Linear(16, 10))

    def forward(self, x: Tensor) -> Tensor:
        x = self.rows(self.blocks(self.stem(x)))
        return self.classifier(x.mean((2, 3)))

    def example_inputs(self, seed: int = 0) -> tuple[Tensor, ...]:
        return (3 * _normal(seed, 2, 3, 32, 32),)


# --- ConvNeXt: layer norm over channels, GELU, layer scale


class LayerNorm2d(nn.LayerNorm):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ConvNeXtBlock(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.pwconv1 = nn.Linear(width, 4 * width)
        self.act = nn.GELU()
        self.pwconv2 = nn.Linear(4 * width, width)
        self.gamma = nn.Parameter(torch.full((width,), 0.5))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.dwconv(x).permute(0, 2, 3, 1))
        y = self.gamma * self.pwconv2(self.act(self.pwconv1(y)))
        return x + y.permute(0, 3, 1, 2)


class ConvNeXt(Architecture):
    output_names = ("logits",)
    opset = 20  # has Gelu

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 4, 4), LayerNorm2d(8, eps=1e-6))
        self.stage1 = nn.Sequential(ConvNeXtBlock(8), ConvNeXtBlock(8))
        self.downsample = nn.Sequential(LayerNorm2d(8, eps=1e-6), nn.Conv2d(8, 16, 2, 2))
        self.stage2 = ConvNeXtBlock(16)
        self.norm = nn.LayerNorm(16, eps=1e-6)
        self.head = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stage2(self.downsample(self.stage1(self.stem(x))))
        return self.head(self.norm(x.mean((2, 3))))

    def example_inputs(self, seed: int = 0) -> tuple[Tensor, ...]:
        return (_normal(seed, 2, 3, 32, 32),)


# --- U-Net: resizing in three ways, transposed convolution, group and instance norm, pixel shuffle


class ConvBlock(nn.Module):
    def __init__(self, width: int, out: int, norm: nn.Module) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, out, 3, padding=1, padding_mode="reflect")
        self.norm = norm
        self.act = nn.LeakyReLU(0.1)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.norm(self.conv(x)))


class UNet(Architecture):
    output_names = ("mask", "fine")

    def __init__(self) -> None:
        super().__init__()
        self.enc1 = ConvBlock(3, 8, nn.InstanceNorm2d(8, affine=True))
        self.pool1 = nn.AvgPool2d(3, 2, 1)
        self.enc2 = ConvBlock(8, 16, nn.GroupNorm(4, 16))
        self.pool2 = nn.MaxPool2d(2)
        self.middle = ConvBlock(16, 16, nn.BatchNorm2d(16))
        self.up2 = nn.ConvTranspose2d(16, 8, 3, 2, 1, output_padding=1)
        self.dec2 = ConvBlock(24, 8, nn.GroupNorm(2, 8))
        self.dec1 = ConvBlock(16, 8, nn.GroupNorm(2, 8))
        self.mask = nn.Conv2d(8, 2, 1)
        self.fine = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.PixelShuffle(2))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        one = self.enc1(x)
        two = self.enc2(self.pool1(one))
        bottom = self.middle(self.pool2(two))
        up = self.dec2(torch.cat([two, self.up2(bottom)], 1))
        up = F.interpolate(up, scale_factor=2.0, mode="bilinear", align_corners=False)
        up = self.dec1(torch.cat([one, up], 1))
        coarse = F.interpolate(bottom[:, :2], size=x.shape[2:], mode="nearest")
        return torch.sigmoid(self.mask(up) + coarse), self.fine(up)

    def example_inputs(self, seed: int = 0) -> tuple[Tensor, ...]:
        return (_normal(seed, 1, 3, 16, 16),)


# --- ViT: patches, a class token, attention with one QKV projection


class Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.scale = (width // heads) ** -0.5
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, width = x.shape
        qkv = self.qkv(x).reshape(batch, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        weights = ((q * self.scale) @ k.transpose(-2, -1)).softmax(-1)
        return self.proj((weights @ v).transpose(1, 2).reshape(batch, tokens, width))


class ViTBlock(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class ViT(Architecture):
    output_names = ("logits",)

    def __init__(self) -> None:
        super().__init__()
        self.patch_embed = nn.Conv2d(3, 32, 8, 8)
        self.cls_token = nn.Parameter(torch.randn(1, 1, 32))
        self.pos_embed = nn.Parameter(torch.randn(1, 17, 32))
        self.blocks = nn.Sequential(ViTBlock(32, 4), ViTBlock(32, 4))
        self.norm = nn.LayerNorm(32)
        self.head = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch_embed(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], 1) + self.pos_embed
        return self.head(self.norm(self.blocks(x))[:, 0])

    def example_inputs(self, seed: int = 0) -> tuple[Tensor, ...]:
        return (_normal(seed, 2, 3, 32, 32),)


# --- BERT: embeddings, a padding mask made of the dtype's least number, separate projections


class SelfAttention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        batch, tokens, width = x.shape
        q, k, v = (
            linear(x).view(batch, tokens, self.heads, -1).transpose(1, 2)
            for linear in (self.query, self.key, self.value)
        )
        scores = q @ k.transpose(-1, -2) / (width // self.heads) ** 0.5 + mask
        return (F.softmax(scores, -1) @ v).transpose(1, 2).reshape(batch, tokens, width)


class BertLayer(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention = SelfAttention(width, heads)
        self.dense = nn.Linear(width, width)
        self.attention_norm = nn.LayerNorm(width, eps=1e-12)
        self.intermediate = nn.Linear(width, 2 * width)
        self.output = nn.Linear(2 * width, width)
        self.output_norm = nn.LayerNorm(width, eps=1e-12)
        self.dropout = nn.Dropout(0.1)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = self.attention_norm(x + self.dropout(self.dense(self.attention(x, mask))))
        return self.output_norm(x + self.dropout(self.output(F.gelu(self.intermediate(x)))))


class Bert(Architecture):
    input_names = ("input_ids", "attention_mask")
    output_names = ("hidden", "pooled")

    def __init__(self) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(50, 32)
        self.position_embeddings = nn.Embedding(16, 32)
        self.embedding_norm = nn.LayerNorm(32, eps=1e-12)
        self.layers = nn.ModuleList([BertLayer(32, 4), BertLayer(32, 4)])
        self.pooler = nn.Linear(32, 32)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        positions = torch.arange(input_ids.shape[1], device=input_ids.device)
        x = self.embedding_norm(self.word_embeddings(input_ids) + self.position_embeddings(positions))
        mask = (1.0 - attention_mask[:, None, None, :].to(x.dtype)) * torch.finfo(x.dtype).min
        for layer in self.layers:
            x = layer(x, mask)
        return x, torch.tanh(self.pooler(x[:, 0]))

    def example_inputs(self, seed: int = 0) -> tuple[Tensor, ...]:
        generator = torch.Generator().manual_seed(seed)
        mask = torch.ones(2, 8, dtype=torch.int64)
        mask[1, 6:] = 0
        return torch.randint(0, 50, (2, 8), generator=generator), mask


# --- Decoder: RMS norm, rotary embedding, causal mask, fused attention, gated unit, tied weights


class RMSNorm(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        dtype = x.dtype
        x = x.to(torch.float32)
        x = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)
        return self.weight * x.to(dtype)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """The rotary embedding with halves."""
    left, right = x.chunk(2, -1)
    return x * cos + torch.cat([-right, left], -1) * sin


class CausalAttention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj = nn.Linear(width, width, bias=False)
        self.k_proj = nn.Linear(width, width, bias=False)
        self.v_proj = nn.Linear(width, width, bias=False)
        self.o_proj = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        batch, tokens, width = x.shape
        shape = (batch, tokens, self.heads, width // self.heads)
        q = rotate(self.q_proj(x).view(shape).transpose(1, 2), cos, sin)
        k = rotate(self.k_proj(x).view(shape).transpose(1, 2), cos, sin)
        v = self.v_proj(x).view(shape).transpose(1, 2)
        mask = torch.triu(torch.full((tokens, tokens), float("-inf"), device=x.device), 1)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.o_proj(y.transpose(1, 2).reshape(batch, tokens, width))


class DecoderLayer(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.input_norm = RMSNorm(width)
        self.self_attn = CausalAttention(width, heads)
        self.post_norm = RMSNorm(width)
        self.gate_proj = nn.Linear(width, 2 * width, bias=False)
        self.up_proj = nn.Linear(width, 2 * width, bias=False)
        self.down_proj = nn.Linear(2 * width, width, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        x = x + self.self_attn(self.input_norm(x), cos, sin)
        y = self.post_norm(x)
        return x + self.down_proj(F.silu(self.gate_proj(y)) * self.up_proj(y))


class Decoder(Architecture):
    input_names = ("input_ids",)
    output_names = ("logits",)

    def __init__(self) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(40, 32)
        self.layers = nn.ModuleList([DecoderLayer(32, 4), DecoderLayer(32, 4)])
        self.norm = RMSNorm(32)
        self.lm_head = nn.Linear(32, 40, bias=False)
        self.lm_head.weight = self.embed_tokens.weight
        self.register_buffer("inv_freq", 100.0 ** (-torch.arange(0, 8, 2) / 8), persistent=False)

    def forward(self, input_ids: Tensor) -> Tensor:
        positions = torch.arange(input_ids.shape[1], device=input_ids.device, dtype=torch.float32)
        angles = torch.outer(positions, self.inv_freq).repeat(1, 2)
        x = self.embed_tokens(input_ids)
        for layer in self.layers:
            x = layer(x, angles.cos(), angles.sin())
        return self.lm_head(self.norm(x))

    def example_inputs(self, seed: int = 0) -> tuple[Tensor, ...]:
        return (torch.randint(0, 40, (2, 8), generator=torch.Generator().manual_seed(seed)),)


# --- Recurrent: bidirectional LSTM, GRU, pooling by learned weights


class Recurrent(Architecture):
    output_names = ("logits", "state")

    def __init__(self) -> None:
        super().__init__()
        self.frontend = nn.Conv1d(8, 12, 3, padding=1)
        self.lstm = nn.LSTM(12, 8, batch_first=True, bidirectional=True)
        self.gru = nn.GRU(16, 16, batch_first=True)
        self.score = nn.Linear(16, 1)
        self.act = nn.ELU(0.5)
        self.head = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = torch.tanh(self.frontend(x.transpose(1, 2))).transpose(1, 2)
        x, _ = self.lstm(x)
        x, state = self.gru(x)
        weights = torch.softmax(self.score(x), 1)
        return F.log_softmax(self.head(self.act((weights * x).sum(1))), -1), state

    def example_inputs(self, seed: int = 0) -> tuple[Tensor, ...]:
        return (_normal(seed, 2, 8, 8),)


# --- Detector: a dense head, the best k by score, boxes gathered and decoded


class DetectionHead(nn.Module):
    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.shared = nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU())
        self.heatmap = nn.Conv2d(width, classes, 3, padding=1)
        self.reg = nn.Conv2d(width, 2, 3, padding=1)
        self.size = nn.Conv2d(width, 2, 3, padding=1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = self.shared(x)
        return self.heatmap(x).sigmoid(), self.reg(x), self.size(x).clamp(-2.0, 2.0).exp()


class Detector(Architecture):
    """Decodes as CenterNet does: the centre is the cell plus an offset, the size is exp of the branch."""

    output_names = ("boxes", "scores", "labels", "reg", "size")

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 8, 3, 1, 2, dilation=2),
            nn.ReLU(),
        )
        self.head = DetectionHead(8, 3)
        self.k = 5

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        heatmap, reg, size = self.head(self.backbone(x))
        height, width = heatmap.shape[2:]
        peak = F.max_pool2d(heatmap, 3, 1, 1)
        heatmap = heatmap * (heatmap == peak)
        scores, index = heatmap.flatten(1).topk(self.k)
        cell = index % (height * width)
        labels = torch.div(index, height * width, rounding_mode="floor")
        offset, extent = (
            each.flatten(2).gather(2, cell[:, None].expand(-1, 2, -1)).transpose(1, 2) for each in (reg, size)
        )
        column = (cell % width).float() + offset[..., 0]
        row = torch.div(cell, width, rounding_mode="floor").float() + offset[..., 1]
        centre = torch.stack([column, row], -1) * 2.0
        boxes = torch.cat([centre - extent / 2, centre + extent / 2], -1)
        return boxes, scores, labels, reg, size

    def example_inputs(self, seed: int = 0) -> tuple[Tensor, ...]:
        return (_normal(seed, 2, 3, 16, 16),)


# --- Spatial transformer: the network predicts an affine grid and samples its input there


class SpatialTransformer(Architecture):
    output_names = ("logits", "warped")
    opset = 20  # has AffineGrid

    def __init__(self) -> None:
        super().__init__()
        self.localization = nn.Sequential(
            nn.Conv2d(3, 8, 5, 2, 2), nn.PReLU(8), nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(128, 6)
        )
        self.register_buffer("identity", torch.tensor([1.0, 0.0, 0.0, 0.0, 1.0, 0.0]))
        self.features = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.Softplus(), nn.Conv2d(8, 8, 3, 2, 1))
        self.fc = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        theta = (0.3 * torch.tanh(self.localization(x)) + self.identity).view(-1, 2, 3)
        grid = F.affine_grid(theta, list(x.shape), align_corners=False)
        warped = F.grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
        return self.fc(self.features(warped).amax((2, 3))), warped

    def example_inputs(self, seed: int = 0) -> tuple[Tensor, ...]:
        return (_normal(seed, 2, 3, 16, 16),)


ARCHITECTURES: dict[str, type[Architecture]] = {
    "resnet": ResNet,
    "mobilenet": MobileNet,
    "convnext": ConvNeXt,
    "unet": UNet,
    "vit": ViT,
    "bert": Bert,
    "decoder": Decoder,
    "recurrent": Recurrent,
    "detector": Detector,
    "stn": SpatialTransformer,
}


def build(name: str) -> Architecture:
    """The network in eval mode, always with the same weights; norms have statistics as after training."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(sum(name.encode()))
        model = ARCHITECTURES[name]()
        for module in model.modules():
            _as_after_training(module)
    return model.eval()


def _as_after_training(module: nn.Module) -> None:
    """Weights that keep activations of order 1; scales and statistics of norms that are not 0 and 1."""
    if isinstance(module, nn.modules.conv._ConvNd | nn.Linear):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if module.bias is not None:
            nn.init.normal_(module.bias, 0.0, 0.1)
    if isinstance(module, nn.modules.batchnorm._NormBase | nn.GroupNorm | nn.LayerNorm | RMSNorm):
        for name, parameter in module.named_parameters(recurse=False):
            nn.init.normal_(parameter, 1.0 if name == "weight" else 0.0, 0.2)
    if isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.running_mean, 0.0, 0.3)
        nn.init.uniform_(module.running_var, 0.5, 2.0)


@cache
def exported(name: str, exporter: Exporter) -> onnx.ModelProto:
    """The network's ONNX model, exported once; not to be changed."""
    return export(build(name), exporter)


def export(model: Architecture, exporter: Exporter, *, constant_folding: bool = True) -> onnx.ModelProto:
    """The network's ONNX model, checked."""
    inputs = model.example_inputs(0)
    if exporter == "dynamo":
        with _quiet():
            program = torch.onnx.export(
                model,
                inputs,
                dynamo=True,
                opset_version=model.opset,
                input_names=list(model.input_names),
                output_names=list(model.output_names),
                verbose=False,
            )
        assert program is not None
        proto = program.model_proto
    else:
        buffer = io.BytesIO()
        with _quiet():
            torch.onnx.export(
                model,
                inputs,
                buffer,
                dynamo=False,
                opset_version=model.opset,
                do_constant_folding=constant_folding,
                input_names=list(model.input_names),
                output_names=list(model.output_names),
            )
        proto = onnx.load_model_from_string(buffer.getvalue())
    onnx.checker.check_model(proto, full_check=True)
    return proto


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporters warn about themselves, and print."""
    previous = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(previous)
