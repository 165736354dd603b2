"""Arguments and results of operators: plain nesting of lists, tuples and dicts, with tensors in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from .dtypes import RAISED, is_low


def leaves(value: Any, kind: Any) -> Iterator[Any]:
    """All members of a type."""
    if isinstance(value, kind):
        yield value
    elif isinstance(value, list | tuple):
        for each in value:
            yield from leaves(each, kind)
    elif isinstance(value, dict):
        for each in value.values():
            yield from leaves(each, kind)


def map_tensors(value: Any, change: Callable[[Tensor], Any]) -> Any:
    """The same nesting with every tensor changed; for results of operators, which hold no dicts."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, list | tuple):
        return type(value)(map_tensors(each, change) for each in value)
    return value


def raised(value: Any) -> Any:
    """The same nesting with float64 for every lower floating tensor and dtype."""
    if isinstance(value, Tensor):
        return value.to(RAISED[value.dtype]) if is_low(value) else value
    if isinstance(value, torch.dtype):
        return RAISED.get(value, value)
    if isinstance(value, list | tuple):
        return type(value)(raised(each) for each in value)
    if isinstance(value, dict):
        return {key: raised(each) for key, each in value.items()}
    return value


def random_devices() -> list[int]:
    """CUDA devices that have a random generator by now."""
    initialized: bool = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    return list(range(torch.cuda.device_count())) if initialized else []


def random_generators(args: Any, kwargs: dict[str, Any]) -> list[torch.Generator]:
    """The random generators that an operator may draw from: the one it is given, or the defaults."""
    given = list(leaves((args, kwargs), torch.Generator))
    return given or [torch.default_generator, *(torch.cuda.default_generators[i] for i in random_devices())]
