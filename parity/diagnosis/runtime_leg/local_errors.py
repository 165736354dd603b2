"""Node by node: what each adds when it alone runs in the runtime, on inputs that are right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from parity.artifacts import Array
from parity.diagnosis.onnx64 import Graph64
from parity.diagnosis.onnx64.execution import Step
from parity.diagnosis.onnx64.program import Node
from parity.diagnosis.onnx64.values import Value
from parity.diagnosis.precision import effective_bits
from parity.diagnosis.runtime_leg.backend import epsilon

PRODUCTS = frozenset({"Conv", "ConvTranspose", "MatMul", "Gemm", "Einsum"})
"""Sums of products, whose natural unit of error is the same sum over absolute values."""

# Bits below which a sum of products is off. Kernels lose a few of the type's own to the length of the sum:
# float32 keeps 21 to 24, and TF32 leaves 14 at best. Of float64, the referee itself can tell some 48.
_ENOUGH_BITS = {"float64": 40.0, "float32": 18.0, "float16": 7.0, "bfloat16": 4.0}
_ULPS = 64.0  # of the largest element: what any other node may be off by
_AMPLIFIED = 16.0  # times what one ULP in the inputs does: what an ill-conditioned node may be off by
_DRAWS = 3


@dataclass(frozen=True)
class LocalError:
    """What one node adds on right inputs.

    Args:
        output: the result that is furthest off.
        found: what the runtime made of it, raised to float64.
        exact: the same in float64 on the same operands.
        error: greatest absolute difference of the elements that are finite in both.
        bits: that the node kept; of a sum of products.
        verdict: ``off`` when it keeps clearly less than its type allows, ``nonfinite`` when it has a NaN or
            infinity where the graph in float64 has none.
    """

    node: Node
    output: str
    found: Tensor
    exact: Tensor
    error: float
    bits: float | None
    verdict: Literal["sound", "off", "nonfinite"]


def compare(
    graph: Graph64, step: Step, operands: tuple[Value, ...], results: Mapping[str, Array]
) -> LocalError | None:
    """The result of the node that is furthest off; None when it has none that can be compared.

    Args:
        graph: that the node belongs to.
        step: the node in the float64 evaluation of the graph.
        operands: what the runtime was given.
        results: what it gave.
    """
    exact = graph.apply(step.node, operands)
    judged = [
        _judge(graph, step, operands, index, results[name], value)
        for index, (name, value) in enumerate(zip(step.node.outputs, exact, strict=False))
        if name in results and isinstance(value, Tensor) and epsilon(results[name].dtype) is not None
    ]
    order = ("sound", "off", "nonfinite")
    known = [one for one in judged if one is not None]
    return max(known, key=lambda one: (order.index(one.verdict), one.error), default=None)


def _judge(
    graph: Graph64, step: Step, operands: tuple[Value, ...], index: int, result: Array, exact: Tensor
) -> LocalError | None:
    name, node = step.node.outputs[index], step.node
    found = torch.from_numpy(result.astype(np.float64)).to(exact.device)
    if found.shape != exact.shape:
        return None
    both = found.isfinite() & exact.isfinite()
    error = float((found - exact)[both].abs().max()) if bool(both.any()) else 0.0
    whole = step.outputs.get(name)
    if isinstance(whole, Tensor) and whole.shape == found.shape and _breaks(found, whole):
        return LocalError(node, name, found, exact, error, None, "nonfinite")
    bits = _bits(graph, node, operands, index, found, exact)
    if bits is not None:
        is_off = not bits >= _ENOUGH_BITS[result.dtype.name]
    else:
        unit = (epsilon(result.dtype) or 0.0) * float(exact[both].abs().max() if bool(both.any()) else 0.0)
        is_off = not error <= _ULPS * unit and not error <= _AMPLIFIED * _one_ulp(
            graph, node, operands, index, exact, epsilon(result.dtype) or 0.0
        )
    return LocalError(node, name, found, exact, error, bits, "off" if is_off else "sound")


def _breaks(found: Tensor, whole: Tensor) -> bool:
    """A NaN, or an infinity, where the evaluation of the whole graph has a number."""
    return bool((~found.isfinite() & whole.isfinite()).any())


def _bits(
    graph: Graph64, node: Node, operands: tuple[Value, ...], index: int, found: Tensor, exact: Tensor
) -> float | None:
    if node.op not in PRODUCTS:
        return None
    absolute = [
        value.abs() if isinstance(value, Tensor) and value.is_floating_point() else value
        for value in operands
    ]
    magnitude = graph.apply(node, absolute)[index]
    if not isinstance(magnitude, Tensor):
        return None
    return effective_bits(found, exact, magnitude.abs())


def _one_ulp(
    graph: Graph64, node: Node, operands: tuple[Value, ...], index: int, exact: Tensor, unit: float
) -> float:
    """The most that the result changes when every input is off by one ULP: the node's own sensitivity.

    A mean taken from numbers that are all alike, or the sine of a large one, can't be exact in float32.
    """
    generator = torch.Generator().manual_seed(0)
    most = 0.0
    for _ in range(_DRAWS):
        moved = [_moved(value, unit, generator) for value in operands]
        result = graph.apply(node, moved)[index]
        if isinstance(result, Tensor) and result.shape == exact.shape:
            change = (result - exact).abs()
            most = max(most, float(change[change.isfinite()].max()) if bool(change.isfinite().any()) else 0.0)
    return most


def _moved(value: Value, unit: float, generator: torch.Generator) -> Value:
    if not isinstance(value, Tensor) or not value.is_floating_point():
        return value
    signs = torch.randint(0, 2, value.shape, generator=generator).to(value) * 2 - 1
    return value * (1 + unit * signs)
