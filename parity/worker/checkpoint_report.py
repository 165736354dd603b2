"""How a state dict and a module differ, said so that a reader sees which model the checkpoint is of."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch.nn.parameter import is_lazy

from parity.worker.problems import Unable

_SHOWN = 10  # names listed of each kind; the rest is counted

State = Mapping[str, Any]


def keys_differ(state: State, expected: State) -> int:
    """How many keys only one of both has. Entries that are no tensors count where the module expects them."""
    own = {key for key, value in state.items() if isinstance(value, torch.Tensor) or key in expected}
    return len(own ^ expected.keys())


def misfits(state: State, expected: State) -> list[str]:
    """A line for each key of both whose value can't be the module's: its shape or its kind is another."""
    return [
        f"{key}: {_described(state[key])} in the checkpoint, {_described(own)} in the model"
        for key, own in expected.items()
        if key in state and not _fits(state[key], own)
    ]


def report(path: Path, state: State, expected: State, *, detail: str) -> Unable:
    """The error for a checkpoint that is not of this model; `detail` is PyTorch's own report, if any."""
    missing = [key for key in expected if key not in state]
    unexpected = [key for key in state if key not in expected]
    bad = misfits(state, expected)
    counts = [
        _counted("missing", missing),
        _counted("unexpected", unexpected),
        _counted("of another shape or dtype", [line.partition(":")[0] for line in bad]),
    ]
    lines = [
        *_section(
            "missing in the checkpoint",
            (f"{k} {_described(expected[k])}{_near(k, unexpected)}" for k in missing),
        ),
        *_section("unknown to the model", (f"{k} {_described(state[k])}" for k in unexpected)),
        *_section("of another shape or dtype", bad),
    ]
    summary = ", ".join(count for count in counts if count)
    return Unable(
        "model",
        f"{path.name} is not a checkpoint of this model: {summary or detail}",
        fix=_fix(state, expected),
        detail="\n".join(lines) or detail,
    )


def _fits(value: object, own: object) -> bool:
    if not isinstance(own, torch.Tensor):
        return True  # extra state, which only its module can judge
    if not isinstance(value, torch.Tensor):
        return False
    if is_lazy(own):
        return True
    return value.shape == own.shape and _kind(value) == _kind(own)


def _kind(tensor: torch.Tensor) -> str:
    """Loading casts within a kind; a float made an integer, or the other way round, is another model's."""
    if tensor.is_quantized:
        return "quantized"
    return "complex" if tensor.is_complex() else "float" if tensor.is_floating_point() else "integer"


def _described(value: object) -> str:
    if not isinstance(value, torch.Tensor):
        return type(value).__qualname__
    if is_lazy(value):
        return "of a shape not known yet"
    return f"{str(value.dtype).removeprefix('torch.')}{list(value.shape)}"


def _counted(what: str, keys: list[str]) -> str:
    if not keys:
        return ""
    more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
    return f"{len(keys)} {what} ({', '.join(keys[:3])}{more})"


def _section(title: str, lines: Iterable[str]) -> list[str]:
    listed = list(lines)
    if not listed:
        return []
    more = [f"  and {len(listed) - _SHOWN} more"] if len(listed) > _SHOWN else []
    return [f"{title} ({len(listed)}):", *(f"  {line}" for line in listed[:_SHOWN]), *more]


def _near(key: str, others: list[str]) -> str:
    near = difflib.get_close_matches(key, others[:2000], 1)
    return f" (nearest: {near[0]})" if near else ""


def _fix(state: State, expected: State) -> str:
    """The common case of a whole model's checkpoint for one part of it has an answer of its own."""
    first = next(iter(expected), "")
    for key in state:
        prefix = key.removesuffix(f".{first}")
        if prefix != key and all(f"{prefix}.{name}" in state for name in expected):
            return f"every key of the model is there under {prefix!r}: set 'checkpoint_key' to that"
    return "check that the checkpoint, the config and the arguments are of one model"
