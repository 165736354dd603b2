"""How exactly a kernel computed: effective bits, and the rounding of its operands that explains what it lost.

A sum of products has a natural unit of error: the same sum over absolute values. Minus log2 of an error in
that unit is the number of bits that the kernel kept. Measured: float32 kernels keep 21 to 24, TF32 or float16
operands leave 10.5 to 14, bfloat16 operands 7.4 to 11.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Rounding = Callable[[Tensor], Tensor]
Format = Literal["tf32", "bfloat16", "float16"]

_MOST_BITS = 53.0  # what float64, the referee, can tell
_TF32_DROPPED = 13  # of float32's 23 mantissa bits
_EXPLAINED = 0.5  # share below which a reproduction is none


def to_tf32(tensor: Tensor) -> Tensor:
    """Rounded to TF32's 10 mantissa bits, half away from zero as ``cvt.rna.tf32`` does; float64."""
    bits = tensor.to(torch.float32).view(torch.int32)
    rounded = (bits + (1 << (_TF32_DROPPED - 1))) & -(1 << _TF32_DROPPED)
    kept = torch.where(tensor.isfinite(), rounded, bits)  # the bits of a NaN are no number to round
    return kept.view(torch.float32).to(torch.float64)


def _through(dtype: torch.dtype) -> Rounding:
    return lambda tensor: tensor.to(torch.float32).to(dtype).to(torch.float64)


# In the order in which they are tried: what float16 explains, TF32 explains too where nothing overflows, and
# TF32 is what hardware does unasked.
ROUNDINGS: Mapping[Format, Rounding] = {
    "tf32": to_tf32,
    "float16": _through(torch.float16),
    "bfloat16": _through(torch.bfloat16),
}


@dataclass(frozen=True)
class Reproduction:
    """Operands rounded to `format` reproduce `share` (0 to 1) of an observed error."""

    format: Format
    share: float


def effective_bits(result: Tensor, exact: Tensor, magnitude: Tensor) -> float | None:
    """Bits that the worst element of a sum of products kept: -log2 of max |result - exact| / magnitude.

    Args:
        result: what the kernel gave; any float dtype.
        exact: the same in float64, on the very operands that the kernel had.
        magnitude: the same sum over absolute values, in float64.

    Gives None when nothing can be told: no element has a magnitude above zero, or one is not finite.
    """
    used = magnitude > 0
    lost = (result.to(torch.float64) - exact).abs()[used] / magnitude[used]
    if lost.numel() == 0 or not bool(lost.isfinite().all()):
        return None
    worst = float(lost.max())
    return _MOST_BITS if worst == 0.0 else min(_MOST_BITS, -float(torch.tensor(worst).log2()))


def reproduce(result: Tensor, exact: Tensor, recompute: Callable[[Rounding], Tensor]) -> Reproduction | None:
    """The rounding of the operands that explains the error of a kernel best, if one explains half of it.

    Args:
        result: what the kernel gave.
        exact: the same in float64 on exact operands.
        recompute: the same in float64 with every floating operand of the products rounded.

    The share is 1 - rms(result - rounded) / rms(result - exact), over all elements.
    """
    observed = result.to(torch.float64)
    error = _rms(observed - exact)
    if not error > 0.0:
        return None
    best: Reproduction | None = None
    for name, rounding in ROUNDINGS.items():
        share = 1.0 - _rms(observed - recompute(rounding)) / error
        if share >= _EXPLAINED and (best is None or share > best.share):
            best = Reproduction(name, share)
    return best


def _rms(tensor: Tensor) -> float:
    return float(tensor.square().mean().sqrt()) if tensor.numel() else 0.0
