"""How far a kernel's result is off, and whether that is more than its dtype must cost."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from parity.diagnosis.precision import ROUNDINGS, Format

from .exact import Exact

# Bits that a sum of products keeps at the least: float32 kernels keep 21 to 24, TF32 leaves 10 to 14. Half
# precision loses some to the rounding of its result.
_BITS = {torch.float32: 18.0, torch.float16: 8.0, torch.bfloat16: 5.0, torch.complex64: 18.0}
_ULPS = 64.0  # of the largest element: what any other operator may lose
_EXPLAINED = 0.5  # share below which a reproduction is none
_DRAWS = 2  # of operands off by an ULP, where an operator lost more


@dataclass(frozen=True, slots=True)
class Judged:
    """The error of one operator on right operands.

    Args:
        error: greatest absolute difference.
        relative: root mean square of the difference over that of the exact result.
        bits: effective bits of a sum of products; None for other operators, and where the error is below what
            would be off even beside the results themselves.
        off: whether it is clearly more than the dtype costs.
        shares: of an error that is low on bits or off: what rounding the operands to each format reproduces,
            1 - rms(result - rounded) / rms(result - exact).
    """

    error: float
    relative: float
    bits: float | None
    off: bool
    shares: Mapping[Format, float]


def judge(result: Tensor, exact: Exact, dtype: torch.dtype, output: int, expected: Tensor) -> Judged:
    """Compares one result of an operator with its float64 form.

    Args:
        result: the kernel's.
        exact: evaluates the operator.
        dtype: whose precision the operator should keep.
        output: position of the result among the tensors that the operator gives.
        expected: the same result in float64.
    """
    found, wanted = finite_pair(result, expected)
    difference = (found - wanted).abs()
    error = _greatest(difference)
    size = _rms(wanted)
    relative = _rms(difference) / (size or 1.0)
    if error <= size * 2.0 ** -_BITS.get(dtype, math.inf):  # no need for its unit: that is no smaller
        return Judged(error, relative, None, off=False, shares={})
    magnitude = exact.magnitude() if output == 0 else None
    bits = _bits(difference, magnitude, dtype)
    if bits is None or magnitude is None:
        allowed = _ULPS * torch.finfo(dtype).eps * _greatest(wanted.abs()) + torch.finfo(result.dtype).tiny
        low = not error <= allowed and not error <= _ULPS * _unavoidable(exact, dtype, output, wanted)
        shares = _shares(result, exact, output, found, wanted) if low else {}
        return Judged(error, relative, None, low, shares)
    low = not bits >= _BITS[dtype]
    shares = _shares(result, exact, output, found, wanted) if low else {}
    # Algorithms that share work between elements (Winograd) lose bits where an element is small beside its
    # neighbours. That is no loss of the kernel as a whole.
    everywhere = not error <= _greatest(magnitude) * 2.0 ** -_BITS[dtype]
    return Judged(error, relative, bits, low and (explains(shares) or everywhere), shares)


def mended(result: Tensor, exact: Exact, dtype: torch.dtype, output: int, expected: Tensor) -> float:
    """The share of the error that goes when the operator computes in `dtype`: what autocast took."""
    found, wanted = finite_pair(result, expected)
    error = _rms(found - wanted)
    if not error > 0.0:
        return 0.0
    return 1.0 - _rms(finite_pair(result, exact.in_dtype(dtype)[output])[1] - wanted) / error


def explains(shares: Mapping[Format, float]) -> bool:
    """Whether one format reproduces an error at least by half."""
    return any(share >= _EXPLAINED for share in shares.values())


def finite_pair(result: Tensor, expected: Tensor) -> tuple[Tensor, Tensor]:
    """Both as real float64 numbers, saturated at the result's greatest, zero where either is NaN."""
    found, wanted = (_real(each).to(torch.float64) for each in (result, expected))
    wanted = wanted.reshape(found.shape)
    limit = torch.finfo(result.dtype).max
    if _greatest(found.abs()) <= limit and _greatest(wanted.abs()) <= limit:  # as nearly always
        return found, wanted
    unknown = found.isnan() | wanted.isnan()
    found, wanted = (each.clamp(-limit, limit).masked_fill(unknown, 0.0) for each in (found, wanted))
    return found, wanted


def _bits(difference: Tensor, magnitude: Tensor | None, dtype: torch.dtype) -> float | None:
    """As `parity.diagnosis.precision.effective_bits`; the smallest magnitudes are taken for larger.

    There precision is lost to the format, not to the kernel.
    """
    if magnitude is None or dtype not in _BITS or difference.shape != magnitude.shape:
        return None
    lost = _greatest(difference / magnitude.clamp_min(torch.finfo(dtype).tiny / torch.finfo(dtype).eps))
    return -math.log2(lost) if 0.0 < lost < math.inf else None


def _unavoidable(exact: Exact, dtype: torch.dtype, output: int, wanted: Tensor) -> float:
    """How far the result moves when the operands move within their own rounding."""
    draw = torch.Generator().manual_seed(0)
    epsilon = torch.finfo(dtype).eps / 2
    moved = 0.0
    for _ in range(_DRAWS):
        other = _real(exact.perturbed(draw, epsilon)[output]).to(torch.float64).reshape(wanted.shape)
        moved = max(moved, _greatest((other - wanted).nan_to_num(0.0).abs()))
    return moved


def _shares(result: Tensor, exact: Exact, output: int, found: Tensor, wanted: Tensor) -> dict[Format, float]:
    error = _rms(found - wanted)
    if result.is_complex() or not error > 0.0:
        return {}
    shares: dict[Format, float] = {}
    for name, rounding in ROUNDINGS.items():
        again = exact.results(rounding)[output]
        if result.dtype.itemsize < 4:  # a kernel of lower precision rounds its result too
            again = again.to(result.dtype)
        shares[name] = 1.0 - _rms(found - finite_pair(result, again)[1]) / error
    return shares


def _real(tensor: Tensor) -> Tensor:
    return torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor


def _greatest(tensor: Tensor) -> float:
    return float(tensor.max()) if tensor.numel() else 0.0


def _rms(tensor: Tensor) -> float:
    return float(torch.linalg.vector_norm(tensor)) / math.sqrt(max(1, tensor.numel()))
