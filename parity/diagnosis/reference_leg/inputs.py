"""What is odd about the inputs themselves: no kernel is to blame for it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from parity.records.diagnosis import Cause

_FEW = 16  # elements below which a constant is nothing odd


def diagnose_inputs(tensors: Mapping[str, Tensor]) -> tuple[Cause, ...]:
    """Causes of kind "input", the gravest first; none for inputs that a network may well get.

    - NaN or infinite elements: which, how many, and where the first is
    - a range whose squares overflow the input's dtype
    - one value throughout (16 elements or more): such an input shows little of what the model computes

    Only floating tensors are looked at: an integer is a label, an index or a mask.

    Args:
        tensors: by the name of the input.
    """
    floating = {name: tensor.detach() for name, tensor in tensors.items() if tensor.is_floating_point()}
    with torch.no_grad():
        found = [cause for name, tensor in floating.items() for cause in _odd(name, tensor)]
    return tuple(cause for _, cause in sorted(found, key=lambda each: each[0]))


def _odd(name: str, tensor: Tensor) -> Iterator[tuple[int, Cause]]:
    """Causes with how grave they are, 0 the most."""
    if not tensor.numel():
        return
    bad = ~tensor.isfinite()
    if bool(bad.any()):
        yield 0, _cause(name, _nonfinite(tensor, bad), "give the model finite inputs")
        return
    dtype = str(tensor.dtype).removeprefix("torch.")
    greatest, limit = float(tensor.abs().max()), torch.finfo(tensor.dtype).max
    if greatest > math.sqrt(limit):
        message = (
            f"has values up to {greatest:.4g}: their squares overflow {dtype}, whose greatest is {limit:.4g}"
        )
        yield 1, _cause(name, message, "scale the input as in training")
    first = tensor.reshape(-1)[0]
    if tensor.numel() >= _FEW and bool((tensor == first).all()):
        yield 2, _cause(name, f"is {float(first):g} throughout", "use inputs like those of training")


def _nonfinite(tensor: Tensor, bad: Tensor) -> str:
    kinds = {
        "NaN": tensor.isnan(),
        "inf": tensor == math.inf,
        "-inf": tensor == -math.inf,
    }
    counted = [f"{int(mask.sum())} {kind}" for kind, mask in kinds.items() if bool(mask.any())]
    first = bad.nonzero()[0].tolist()
    return f"has {' and '.join(counted)} in {tensor.numel()} elements, the first at {first}"


def _cause(name: str, message: str, remedy: str) -> Cause:
    return Cause(
        kind="input", leg="reference", message=f"the input {name!r} {message}", remedy=remedy, tensor=name
    )
