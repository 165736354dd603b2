"""Normalizations."""

from __future__ import annotations

import torch
from torch.nn import functional

from parity.diagnosis.onnx64.operators.elementwise import Operator
from parity.diagnosis.onnx64.program import Node
from parity.diagnosis.onnx64.values import Tensor


def _by_channel(parameter: Tensor, x: Tensor) -> Tensor:
    return parameter.reshape(1, -1, *[1] * (x.ndim - 2))


def _batch_normalization(
    node: Node, x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, variance: Tensor
) -> Tensor | tuple[Tensor, ...]:
    """With x (N, C, ...). In training mode: the batch's own statistics; running ones are further outputs."""
    training = node.integer("training_mode") if node.version >= 14 else node.wants(1)
    if node.version < 7 and not node.integer("is_test"):
        training = True
    epsilon = node.number("epsilon", 1e-5)
    if not training:
        return functional.batch_norm(x, mean, variance, scale, bias, training=False, eps=epsilon)
    axes = [axis for axis in range(x.ndim) if axis != 1]
    momentum = node.number("momentum", 0.9)
    current, spread = x.mean(axes), x.var(axes, correction=0)
    running = momentum * mean + (1 - momentum) * current, momentum * variance + (1 - momentum) * spread
    y = functional.batch_norm(x, current, spread, scale, bias, training=False, eps=epsilon)
    return (y, *running) if node.version >= 14 else (y, *running, current, spread)


def _standardized(x: Tensor, axes: list[int], epsilon: float) -> Tensor:
    centered = x - x.mean(axes, keepdim=True)
    return centered / torch.sqrt(centered.square().mean(axes, keepdim=True) + epsilon)


def _layer_normalization(
    node: Node, x: Tensor, scale: Tensor, bias: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    axes = list(range(node.integer("axis", -1) % x.ndim, x.ndim))
    mean = x.mean(axes, keepdim=True)
    centered = x - mean
    inverse = torch.rsqrt(centered.square().mean(axes, keepdim=True) + node.number("epsilon", 1e-5))
    y = centered * inverse * scale
    return y if bias is None else y + bias, mean, inverse


def _instance_normalization(node: Node, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    y = _standardized(x, list(range(2, x.ndim)), node.number("epsilon", 1e-5))
    return y * _by_channel(scale, x) + _by_channel(bias, x)


def _group_normalization(node: Node, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    groups = node.integer("num_groups")
    grouped = x.reshape(x.shape[0], groups, -1)
    y = _standardized(grouped, [2], node.number("epsilon", 1e-5))
    if node.version < 21:  # one scale a group then, one a channel since
        return (y * scale.reshape(1, -1, 1) + bias.reshape(1, -1, 1)).reshape(x.shape)
    return y.reshape(x.shape) * _by_channel(scale, x) + _by_channel(bias, x)


def _rms_normalization(node: Node, x: Tensor, scale: Tensor) -> Tensor:
    axes = list(range(node.integer("axis", -1) % x.ndim, x.ndim))
    return x * torch.rsqrt(x.square().mean(axes, keepdim=True) + node.number("epsilon", 1e-5)) * scale


def _mean_variance_normalization(node: Node, x: Tensor) -> Tensor:
    axes = node.integers("axes") or [0, 2, 3]
    centered = x - x.mean(axes, keepdim=True)
    # The specification adds 1e-9 to the deviation, not to the variance.
    return centered / (torch.sqrt(centered.square().mean(axes, keepdim=True)) + 1e-9)


def _local_response(node: Node, x: Tensor) -> Tensor:
    size = node.integer("size")
    before = (size - 1) // 2
    squares = functional.pad(x.square().transpose(1, -1), (before, size - 1 - before))
    sums = squares.unfold(-1, size, 1).sum(-1).transpose(1, -1)
    alpha, beta, bias = node.number("alpha", 1e-4), node.number("beta", 0.75), node.number("bias", 1.0)
    return x / (bias + alpha / size * sums) ** beta


def _lp_normalization(node: Node, x: Tensor) -> Tensor:
    p, axis = node.integer("p", 2), node.integer("axis", -1)
    norm = torch.linalg.vector_norm(x, ord=p, dim=axis, keepdim=True)
    return torch.where(norm == 0, torch.zeros_like(x), x / norm)


OPERATORS: dict[str, Operator] = {
    "BatchNormalization": _batch_normalization,
    "GroupNormalization": _group_normalization,
    "InstanceNormalization": _instance_normalization,
    "LRN": _local_response,
    "LayerNormalization": _layer_normalization,
    "LpNormalization": _lp_normalization,
    "MeanVarianceNormalization": _mean_variance_normalization,
    "RMSNormalization": _rms_normalization,
}
