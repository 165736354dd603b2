"""Operators that work on one element at a time, with broadcasting."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

import torch

from parity.diagnosis.onnx64.program import Node
from parity.diagnosis.onnx64.values import Tensor, before_cutting

Operator = Callable[..., "Tensor | tuple[Tensor, ...]"]


def _unary(function: Callable[[Tensor], Tensor]) -> Operator:
    return lambda _node, x: function(x)


def _cut(function: Callable[[Tensor], Tensor]) -> Operator:
    return lambda node, x: function(before_cutting(x, node.setting.native))


def _binary(function: Callable[[Tensor, Tensor], Tensor]) -> Operator:
    return lambda node, a, b: function(a, _aligned(node, a, b))


def _variadic(function: Callable[[Tensor, Tensor], Tensor]) -> Operator:
    return lambda _node, *inputs: reduce(function, inputs)


def _aligned(node: Node, a: Tensor, b: Tensor) -> Tensor:
    """`b` as it broadcasts to `a`; before operator set 7 it was placed at `axis`."""
    axis = node.attributes.get("axis")
    if node.version >= 7 or axis is None:
        return b
    return b.reshape(*b.shape, *[1] * (a.ndim - axis % a.ndim - b.ndim))


def _divide(a: Tensor, b: Tensor) -> Tensor:
    return a / b if a.is_floating_point() or a.is_complex() else torch.div(a, b, rounding_mode="trunc")


def _power(a: Tensor, b: Tensor) -> Tensor:
    if not a.is_floating_point() and b.is_floating_point():
        return torch.pow(a.double(), b).to(a.dtype)  # the result has the type of the base
    return torch.pow(a, b).to(a.dtype)


def _modulo(node: Node, a: Tensor, b: Tensor) -> Tensor:
    return torch.fmod(a, b) if node.integer("fmod") else torch.remainder(a, b)


def _reciprocal_of_type(x: Tensor) -> Tensor:
    return torch.reciprocal(x).to(x.dtype)


def _is_inf(node: Node, x: Tensor) -> Tensor:
    positive = (
        torch.isposinf(x) if node.integer("detect_positive", 1) else torch.zeros_like(x, dtype=torch.bool)
    )
    return positive | torch.isneginf(x) if node.integer("detect_negative", 1) else positive


def _clip(node: Node, x: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
    if node.version < 11:
        low, high = (
            torch.tensor(v) if (v := node.attributes.get(n)) is not None else None for n in ("min", "max")
        )
    # As the specification has it, min(max(x, low), high): with low > high everything is high.
    x = x if low is None else torch.maximum(x, low.to(x))
    return x if high is None else torch.minimum(x, high.to(x))


def _mean(_node: Node, *inputs: Tensor) -> Tensor:
    total: Tensor = reduce(torch.add, inputs)
    return total / len(inputs)


def _where(_node: Node, condition: Tensor, x: Tensor, y: Tensor) -> Tensor:
    return torch.where(condition, x, y)


OPERATORS: dict[str, Operator] = {
    "Abs": _unary(torch.abs),
    "Acos": _unary(torch.acos),
    "Acosh": _unary(torch.acosh),
    "Add": _binary(torch.add),
    "And": _binary(torch.logical_and),
    "Asin": _unary(torch.asin),
    "Asinh": _unary(torch.asinh),
    "Atan": _unary(torch.atan),
    "Atanh": _unary(torch.atanh),
    "BitwiseAnd": _binary(torch.bitwise_and),
    "BitwiseNot": _unary(torch.bitwise_not),
    "BitwiseOr": _binary(torch.bitwise_or),
    "BitwiseXor": _binary(torch.bitwise_xor),
    "Ceil": _cut(torch.ceil),
    "Clip": _clip,
    "Cos": _unary(torch.cos),
    "Cosh": _unary(torch.cosh),
    "Div": _binary(_divide),
    "Equal": _binary(torch.eq),
    "Erf": _unary(torch.erf),
    "Exp": _unary(torch.exp),
    "Floor": _cut(torch.floor),
    "Greater": _binary(torch.gt),
    "GreaterOrEqual": _binary(torch.ge),
    "IsInf": _is_inf,
    "IsNaN": _unary(torch.isnan),
    "Less": _binary(torch.lt),
    "LessOrEqual": _binary(torch.le),
    "Log": _unary(torch.log),
    "Max": _variadic(torch.maximum),
    "Mean": _mean,
    "Min": _variadic(torch.minimum),
    "Mod": _modulo,
    "Mul": _binary(torch.mul),
    "Neg": _unary(torch.neg),
    "Not": _unary(torch.logical_not),
    "Or": _binary(torch.logical_or),
    "Pow": _binary(_power),
    "Reciprocal": _unary(_reciprocal_of_type),
    "Round": _unary(torch.round),  # halves to even, in both
    "Sign": _unary(torch.sign),
    "Sin": _unary(torch.sin),
    "Sinh": _unary(torch.sinh),
    "Sqrt": _unary(torch.sqrt),
    "Sub": _binary(torch.sub),
    "Sum": _variadic(torch.add),
    "Tan": _unary(torch.tan),
    "Where": _where,
    "Xor": _binary(torch.logical_xor),
}
