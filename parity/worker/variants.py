"""How PyTorch runs a module other than as it is: through torch.compile, or under autocast."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from parity.records.jobs import Variant
from parity.worker.problems import Unable

_AUTOCAST: dict[str, torch.dtype] = {
    "autocast-bfloat16": torch.bfloat16,
    "autocast-float16": torch.float16,
}


def callable_of(module: nn.Module, variant: Variant | None) -> Callable[..., Any]:
    """What stands for the module: itself, or what torch.compile makes of it when it is called first."""
    if variant != "compile":
        return module
    compiled: Callable[..., Any] = torch.compile(module)
    return compiled


@contextmanager
def under(variant: Variant | None, device: torch.device, whose: str) -> Iterator[None]:
    """The context that a call runs in.

    Raises:
        Unable: ``model``; torch.compile can't compile it, with the reason.
    """
    dtype = _AUTOCAST.get(variant or "")
    if dtype is not None:
        with torch.autocast(device.type, dtype=dtype):
            yield
        return
    if variant != "compile":
        yield
        return
    from torch._dynamo.exc import TorchDynamoException  # takes a second to import

    try:
        yield
    except TorchDynamoException as error:
        raise Unable(
            "model",
            f"torch.compile can't compile {whose} for {device}: {_reason(error)}",
            fix="on the CPU it needs a C++ compiler (g++, or what CXX names); or take +compile out",
            detail=str(error),
        ) from error


def _reason(error: BaseException) -> str:
    """The first line of the innermost error: the others say only where it went through."""
    inner: BaseException | None = getattr(error, "inner_exception", None) or error.__cause__
    while inner is not None and (deeper := inner.__cause__) is not None:
        inner = deeper
    said = [line.strip() for line in str(inner or error).splitlines() if line.strip()]
    return said[0][:300] if said else type(inner or error).__name__
