"""CPU kernels of lower precision, as hardware has them: they round the operands of products."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

ATEN = torch.ops.aten


def to_tf32(tensor: Tensor) -> Tensor:
    """Eleven significant bits, half away from zero; by arithmetic, unlike the code under test."""
    mantissa, exponent = torch.frexp(tensor.double())
    rounded = torch.sign(mantissa) * torch.floor(mantissa.abs() * 2**11 + 0.5) / 2**11
    return torch.ldexp(rounded, exponent).to(tensor.dtype)


def to_bfloat16(tensor: Tensor) -> Tensor:
    return tensor.to(torch.bfloat16).to(tensor.dtype)


def to_float16(tensor: Tensor) -> Tensor:
    return tensor.to(torch.float16).to(tensor.dtype)


@contextmanager
def rounding_operands(
    rounding: Callable[[Tensor], Tensor], families: tuple[str, ...] = ("convolution", "matmul")
) -> Iterator[None]:
    """While it is entered, float32 kernels round the operands of their products; other dtypes are as ever."""

    def rounded(*tensors: Tensor) -> list[Tensor]:
        return [rounding(t) if t.dtype is torch.float32 else t for t in tensors]

    def convolution(x: Tensor, w: Tensor, b: Tensor | None, *rest: Any) -> Tensor:
        return ATEN._convolution.default(*rounded(x, w), b, *rest, False, False, True, True)

    def mm(a: Tensor, b: Tensor) -> Tensor:
        return ATEN.mm.out(*rounded(a, b), out=a.new_empty(0))

    def bmm(a: Tensor, b: Tensor) -> Tensor:
        return ATEN.bmm.out(*rounded(a, b), out=a.new_empty(0))

    def addmm(c: Tensor, a: Tensor, b: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
        return ATEN.addmm.out(c, *rounded(a, b), beta=beta, alpha=alpha, out=a.new_empty(0))

    kernels = {"convolution": [convolution], "matmul": [mm, bmm, addmm]}
    library = torch.library.Library("aten", "IMPL")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that a kernel is overridden
            for family in families:
                for kernel in kernels[family]:
                    library.impl(kernel.__name__, kernel, "CPU", allow_override=True)
        yield
    finally:
        library._destroy()
