"""What generated tensors must agree on: with the dimensions, and those that follow a mask with the mask."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from parity.spec.distributions import check_tensor, symbols_of, with_sizes
from parity.spec.inputs import InputsSpec, TensorSpec
from parity.spec.messages import Finding
from parity.spec.places import Path

SETS_LIMIT = 10_000  # input sets of one specification

Findings = Iterator[Finding]


def check_generated(inputs: InputsSpec) -> Findings:
    """What is wrong with `inputs.tensors` and `inputs.dims`."""
    tensors = inputs.tensors or {}
    yield from _unknown_symbols(inputs)
    yield from _dims(inputs)
    for name, tensor in tensors.items():
        path: Path = ("inputs", "tensors", name)
        if all(symbol in inputs.dims for _, symbol in symbols_of(tensor)):
            yield from _check_sizes(path, tensor, inputs)
        for at, mask in _followed(tensor):
            yield from _check_mask((*path, *at), mask, tensor, tensors)


def _unknown_symbols(inputs: InputsSpec) -> Findings:
    for name, tensor in (inputs.tensors or {}).items():
        for at, symbol in symbols_of(tensor):
            if symbol not in inputs.dims:
                fix = f"add `dims: {{{symbol}: 1}}` under `inputs`"
                yield Finding(("inputs", "tensors", name, *at), f"{symbol!r} is not in 'dims'", fix)


def _dims(inputs: InputsSpec) -> Findings:
    used = {symbol for tensor in (inputs.tensors or {}).values() for _, symbol in symbols_of(tensor)}
    for name, sizes in inputs.dims.items():
        here: Path = ("inputs", "dims", name)
        if name not in used:
            fix = "use it in a shape, or leave it out"
            yield Finding(here, f"no tensor has the dimension {name!r}", fix, on_key=True)
        if len(set(sizes)) < len(sizes):
            yield Finding(here, f"a size of {name!r} is given twice", "give each size once")
    count = math.prod(len(sizes) for sizes in inputs.dims.values()) * (inputs.samples or 1)
    if count > SETS_LIMIT:
        problem = f"this makes {count} input sets, more than {SETS_LIMIT}"
        yield Finding(("inputs",), problem, "give fewer sizes or samples", on_key=True)


def _check_sizes(path: Path, tensor: TensorSpec, inputs: InputsSpec) -> Findings:
    """The tensor with the least and with the greatest size of each dimension; each finding once."""
    found: dict[Finding, None] = {}
    for extreme in (min, max):
        bound = with_sizes(tensor, {name: extreme(sizes) for name, sizes in inputs.dims.items()})
        found |= dict.fromkeys(check_tensor(path, bound))
    yield from found


def _followed(tensor: TensorSpec) -> Iterator[tuple[Path, str]]:
    if tensor.of is not None:
        yield ("of",), tensor.of
    if tensor.padding is not None:
        yield ("padding", "mask"), tensor.padding.mask


def _check_mask(path: Path, name: str, tensor: TensorSpec, tensors: Mapping[str, TensorSpec]) -> Findings:
    mask = tensors.get(name)
    if mask is None or mask.distribution != "mask":
        masks = [known for known, other in tensors.items() if other.distribution == "mask"]
        fix = f"the masks are {', '.join(masks)}" if masks else "add a tensor with `distribution: mask`"
        yield Finding(path, f"{name!r} is no tensor of the distribution 'mask'", fix)
        return
    if mask is tensor:
        yield Finding(path, f"{name!r} can't follow itself", "name another mask")
        return
    expected: tuple[int | str, ...] = mask.shape
    actual = tensor.shape
    words = "the shape of"
    if path[-1] == "of" and tensor.distribution == "lengths":
        expected, words = mask.shape[:-1], "the shape, without its last axis, of"
    elif path[-1] == "mask":
        actual, words = tensor.shape[: len(mask.shape)], "a shape that begins with that of"
    if actual != expected:
        shown = f"[{', '.join(map(str, expected))}]"
        yield Finding(
            path, f"the tensor needs {words} {name!r}: {shown}", "give both the same sizes and names"
        )
