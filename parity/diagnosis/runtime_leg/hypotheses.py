"""Why a node is off: each hypothesis is reproduced or made to vanish at the node itself."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from parity.artifacts import Array
from parity.diagnosis.onnx64 import Graph64
from parity.diagnosis.onnx64.program import Node
from parity.diagnosis.onnx64.values import Value
from parity.diagnosis.precision import ROUNDINGS, Format, Rounding
from parity.diagnosis.runtime_leg.backend import Backend, How
from parity.diagnosis.runtime_leg.isolation import Isolated
from parity.diagnosis.runtime_leg.local_errors import LocalError
from parity.worker.problems import Unable

_VANISHES = 0.5  # share of a node's error from which on a setting is at fault
_EXPLAINED = 0.5  # share of it below which a reproduction is none
_SEARCHES = ("DEFAULT", "HEURISTIC", "EXHAUSTIVE")
# The first so many inputs are factors of a product; a bias that follows is added in the type of the sum.
_FACTORS: Mapping[str, int] = {"Conv": 2, "ConvTranspose": 2, "MatMul": 2, "Gemm": 2}

Kind = Literal["reproduced", "nondeterminism", "provider", "algorithm", "unexplained"]


@dataclass(frozen=True)
class Explanation:
    """Why a node is off.

    Args:
        formats: roundings of the operands that reproduce it, and the share of the node's error that they do.
        setting: the value of a setting that makes it vanish.
    """

    kind: Kind
    formats: Mapping[Format, float] = field(default_factory=dict)
    setting: str = ""


def explain(
    graph: Graph64, backend: Backend, isolated: Isolated, local: LocalError, results: Mapping[str, Array]
) -> Explanation:
    """The first hypothesis that holds, from the cheapest and most telling on."""
    again = _once_more(backend, isolated, How(optimization="disable_all"), local)
    if again is not None and not torch.equal(
        again.nan_to_num(), torch.from_numpy(results[local.output].astype(np.float64)).to(again).nan_to_num()
    ):
        return Explanation("nondeterminism")
    if formats := _rounded_operands(graph, local.node, isolated.operands, local):
        return Explanation("reproduced", formats=formats)
    if backend.device == "cpu":
        return Explanation("unexplained")
    if local.node.op in ("Conv", "ConvTranspose"):
        for search in _SEARCHES:
            how = How(optimization="disable_all", provider_options=(("cudnn_conv_algo_search", search),))
            share = _share(_once_more(backend, isolated, how, local), local)
            if share >= _VANISHES:
                return Explanation("algorithm", setting=search)
    share = _share(_once_more(backend, isolated, How("disable_all", on_cpu=True), local), local)
    return Explanation("provider") if share >= _VANISHES else Explanation("unexplained")


def round_factors(node: Node, operands: Sequence[Value], rounding: Rounding) -> list[Value]:
    """The operands of a node, those rounded that are multiplied."""
    factors = _FACTORS.get(node.op, len(operands))
    return [
        rounding(value)
        if place < factors and isinstance(value, Tensor) and value.is_floating_point()
        else value
        for place, value in enumerate(operands)
    ]


def _rounded_operands(
    graph: Graph64, node: Node, operands: tuple[Value, ...], local: LocalError
) -> dict[Format, float]:
    """The formats that reproduce half of the node's error or more: 1 - rms(result - rounded) / rms(error)."""
    index = node.outputs.index(local.output)
    error = _rms(local.found - local.exact)
    if not math.isfinite(error):
        return {}
    shares: dict[Format, float] = {}
    for form, rounding in ROUNDINGS.items():
        result = graph.apply(node, round_factors(node, operands, rounding))[index]
        if isinstance(result, Tensor):
            shares[form] = 1.0 - _rms(local.found - result) / error
    return {form: share for form, share in shares.items() if share >= _EXPLAINED}


def _rms(tensor: Tensor) -> float:
    return float(tensor.square().mean().sqrt())


def _once_more(backend: Backend, isolated: Isolated, how: How, local: LocalError) -> Tensor | None:
    try:
        result = backend.open(isolated.model, how)(isolated.feeds)[local.output]
    except Unable:
        return None  # that way there is no kernel for it
    return torch.from_numpy(result.astype(np.float64)).to(local.exact.device)


def _share(found: Tensor | None, local: LocalError) -> float:
    """Of the node's error, what is gone in another result of it."""
    if found is None or found.shape != local.exact.shape:
        return 0.0
    error, left = (local.found - local.exact).abs().max(), (found - local.exact).abs().max()
    if not bool(left.isfinite()):
        return 0.0
    return 1.0 if not bool(error.isfinite()) else float(1.0 - left / error)
