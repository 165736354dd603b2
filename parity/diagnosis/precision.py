"""How exactly a kernel computed: effective bits, and the roundings of operands that may explain what it lost.

A sum of products has a natural unit of error: the same sum over absolute values. Minus log2 of an error in
that unit is the number of bits that the kernel kept. Measured: float32 kernels keep 21 to 24, TF32 or float16
operands leave 10.5 to 14, bfloat16 operands 7.4 to 11.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import torch
from torch import Tensor

Rounding = Callable[[Tensor], Tensor]
Format = Literal["tf32", "bfloat16", "float16"]

_MOST_BITS = 53.0  # what float64, the referee, can tell
_TF32_DROPPED = 13  # of float32's 23 mantissa bits


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
