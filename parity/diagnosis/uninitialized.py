"""New memory is left as it is: whoever asks for it here writes all of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

_DETERMINISTIC: Any = torch.utils.deterministic  # makes its attribute at run time


@contextmanager
def unfilled() -> Iterator[None]:
    """Kernels get their memory without NaN, which `torch.use_deterministic_algorithms` writes to all of it.

    That finds code which reads what nobody has written. PyTorch's kernels do not, and for a convolution it is
    a pass over the memory for nothing.
    """
    before = _DETERMINISTIC.fill_uninitialized_memory
    _DETERMINISTIC.fill_uninitialized_memory = False
    try:
        yield
    finally:
        _DETERMINISTIC.fill_uninitialized_memory = before
