"""Which dtype stands for which in float64, and which casts lose something that must stay lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

# Every floating dtype below float64 and the one it is held in.
RAISED: dict[torch.dtype, torch.dtype] = {
    torch.float32: torch.float64,
    torch.float16: torch.float64,
    torch.bfloat16: torch.float64,
    torch.float8_e4m3fn: torch.float64,
    torch.float8_e4m3fnuz: torch.float64,
    torch.float8_e5m2: torch.float64,
    torch.float8_e5m2fnuz: torch.float64,
    torch.complex64: torch.complex128,
    torch.complex32: torch.complex128,
}
FLOATING = frozenset(RAISED) | {torch.float64, torch.complex128}

_COMPLEX_OF = {
    torch.float16: torch.complex32,
    torch.float32: torch.complex64,
    torch.float64: torch.complex128,
}
_REAL_OF = {complex_: real for real, complex_ in _COMPLEX_OF.items()}


@contextmanager
def as_usual() -> Iterator[None]:
    """No mode is active: this package's own work on tensors."""
    with torch._C._DisableTorchDispatch(), torch._C.DisableTorchFunction():
        yield


def is_low(tensor: Tensor) -> bool:
    """Whether the tensor is floating and narrower than float64."""
    return tensor.dtype in RAISED


def loses(cast: torch.dtype, native: torch.dtype) -> bool:
    """Whether a cast from the module's native float dtype to `cast` can change a value.

    Such a cast is part of what the module computes, so it rounds in float64 too. All other floating casts are
    choices of precision and disappear.
    """
    if cast not in FLOATING:
        return False
    to, of = torch.finfo(_REAL_OF.get(cast, cast)), torch.finfo(_REAL_OF.get(native, native))
    return not (to.eps <= of.eps and to.max >= of.max and to.tiny <= of.tiny)


def promoted(one: torch.dtype, other: torch.dtype) -> torch.dtype:
    """As `torch.promote_types`, which is an operator itself and would be raised."""
    with as_usual():
        return torch.promote_types(one, other)


def complex_of(native: torch.dtype) -> torch.dtype:
    """The complex dtype of the same precision."""
    return _COMPLEX_OF.get(native, torch.complex64)


def native_dtype(module: nn.Module, inputs: Iterable[Tensor]) -> torch.dtype:
    """The floating dtype that the module computes in.

    It is that of most elements of its parameters; without any, of its buffers; else of its inputs; else
    PyTorch's default dtype.
    """
    for tensors in (module.parameters(), module.buffers(), inputs):
        elements: Counter[torch.dtype] = Counter()
        for tensor in tensors:
            if tensor.dtype in FLOATING:
                elements[_REAL_OF.get(tensor.dtype, tensor.dtype)] += tensor.numel()
        if elements:
            return elements.most_common(1)[0][0]
    return torch.get_default_dtype()
