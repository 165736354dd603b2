"""Activation functions. Those that a recurrent layer can name are shared with it."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch.nn import functional

from parity.diagnosis.onnx64.operators.elementwise import Operator
from parity.diagnosis.onnx64.program import Node
from parity.diagnosis.onnx64.values import Tensor

# The defaults of the specification; they are float32 numbers in it, such as 1.67326319217681884765625.
_SELU_ALPHA, _SELU_GAMMA = 1.67326319217681884765625, 1.05070102214813232421875


def softplus(x: Tensor) -> Tensor:
    """log(1 + exp(x)); PyTorch's own is the identity above 20."""
    return torch.logaddexp(x, torch.zeros_like(x))


def leaky_relu(x: Tensor, alpha: float) -> Tensor:
    """`x` where it is not negative, `alpha * x` elsewhere."""
    return torch.where(x < 0, alpha * x, x)


def elu(x: Tensor, alpha: float) -> Tensor:
    """`x` where it is positive, `alpha * (exp(x) - 1)` elsewhere."""
    return torch.where(x > 0, x, alpha * torch.expm1(x))


def hard_sigmoid(x: Tensor, alpha: float, beta: float) -> Tensor:
    """`alpha * x + beta`, cut at 0 and 1."""
    return torch.clamp(alpha * x + beta, 0, 1)


def thresholded_relu(x: Tensor, alpha: float) -> Tensor:
    """`x` where it exceeds `alpha`, 0 elsewhere."""
    return torch.where(x > alpha, x, torch.zeros_like(x))


def _gelu(node: Node, x: Tensor) -> Tensor:
    return functional.gelu(x, approximate=node.text("approximate", "none"))


def _selu(node: Node, x: Tensor) -> Tensor:
    return node.number("gamma", _SELU_GAMMA) * elu(x, node.number("alpha", _SELU_ALPHA))


def _celu(node: Node, x: Tensor) -> Tensor:
    alpha = node.number("alpha", 1.0)
    return torch.clamp(x, min=0) + torch.clamp(alpha * torch.expm1(x / alpha), max=0)


def _shrink(node: Node, x: Tensor) -> Tensor:
    bias, threshold = node.number("bias"), node.number("lambd", 0.5)
    shrunk = torch.where(x > threshold, x - bias, torch.zeros_like(x))
    return torch.where(x < -threshold, x + bias, shrunk).to(x.dtype)


def _prelu(node: Node, x: Tensor, slope: Tensor) -> Tensor:
    if node.version < 7 and slope.numel() > 1:  # one slope a channel
        slope = slope.reshape(-1, *[1] * (x.ndim - 2))
    return torch.where(x < 0, slope * x, x)


def _swish(node: Node, x: Tensor) -> Tensor:
    return x * torch.sigmoid(node.number("alpha", 1.0) * x)


def _softmax(function: Callable[[Tensor, int], Tensor]) -> Operator:
    def apply(node: Node, x: Tensor) -> Tensor:
        if node.version >= 13:
            return function(x, node.integer("axis", -1))
        # Before operator set 13, the axes from `axis` on were taken as one.
        axis = node.integer("axis", 1) % max(x.ndim, 1)
        rows = math.prod(x.shape[:axis])
        return function(x.reshape(rows, -1), 1).reshape(x.shape)

    return apply


def softmax(x: Tensor, axis: int) -> Tensor:
    """Softmax along one axis."""
    return torch.softmax(x, axis)


def _log_softmax(x: Tensor, axis: int) -> Tensor:
    return torch.log_softmax(x, axis)


def _hardmax(x: Tensor, axis: int) -> Tensor:
    return torch.zeros_like(x).scatter_(axis, x.argmax(axis, keepdim=True), 1.0)


OPERATORS: dict[str, Operator] = {
    "Celu": _celu,
    "Elu": lambda node, x: elu(x, node.number("alpha", 1.0)),
    "Gelu": _gelu,
    "HardSigmoid": lambda node, x: hard_sigmoid(x, node.number("alpha", 0.2), node.number("beta", 0.5)),
    "HardSwish": lambda _node, x: x * hard_sigmoid(x, 1 / 6, 0.5),
    "Hardmax": _softmax(_hardmax),
    "LeakyRelu": lambda node, x: leaky_relu(x, node.number("alpha", 0.01)),
    "LogSoftmax": _softmax(_log_softmax),
    "Mish": lambda _node, x: x * torch.tanh(softplus(x)),
    "PRelu": _prelu,
    "Relu": lambda _node, x: torch.relu(x),
    "Selu": _selu,
    "Shrink": _shrink,
    "Sigmoid": lambda _node, x: torch.sigmoid(x),
    "Softmax": _softmax(softmax),
    "Softplus": lambda _node, x: softplus(x),
    "Softsign": lambda _node, x: x / (1 + x.abs()),
    "Swish": _swish,
    "Tanh": lambda _node, x: torch.tanh(x),
    "ThresholdedRelu": lambda node, x: thresholded_relu(x, node.number("alpha", 1.0)),
}
