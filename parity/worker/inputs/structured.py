"""Drawn integers with a structure: masks, what follows from a mask, orders, choices.

All are along the last axis; each row of the others is drawn by itself. Every function gives int64, but for
`choice`, whose values may be fractions, and `boxes`.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import numpy as np

from parity.artifacts import Array
from parity.records.inputs import Distribution
from parity.worker.inputs.holding import wrong


def structured(tensor: Distribution, rng: np.random.Generator, masks: Mapping[str, Array]) -> Array:
    """The values of a tensor whose distribution is one of this module's.

    Args:
        tensor: how it is drawn.
        rng: its own generator.
        masks: by name; the one that the tensor follows must be there.
    """
    match tensor.distribution:
        case "mask":
            array = mask(tensor, rng)
        case "positions":
            array = positions(masks[tensor.of] != 0)
        case "lengths":
            array = lengths(masks[tensor.of] != 0)
        case "arange":
            array = arange(tensor)
        case "permutation":
            array = permutation(tensor, rng)
        case "one_hot":
            array = one_hot(tensor, rng)
        case "offsets":
            array = offsets(tensor, rng)
        case "choice":
            array = choice(tensor, rng)
        case "boxes":
            array = boxes(tensor, rng)
        case other:
            raise wrong(tensor, f"nothing can be drawn from {other!r}", "use another distribution")
    return array


def mask(tensor: Distribution, rng: np.random.Generator) -> Array:
    """Ones as many as the length that is drawn for each row, then zeros; with `pad` left, zeros first."""
    size = tensor.shape[-1]
    greatest = size if tensor.max_length is None else tensor.max_length
    if not tensor.min_length <= greatest <= size:
        raise wrong(
            tensor,
            f"no length is at least {tensor.min_length} and at most {greatest} of {size} elements",
            "set lengths.min and lengths.max within the last axis",
        )
    lengths = rng.integers(tensor.min_length, greatest, (*tensor.shape[:-1], 1), endpoint=True)
    places = np.arange(size)
    kept = places >= size - lengths if tensor.pad == "left" else places < lengths
    return kept.astype(np.int64)


def positions(kept: Array) -> Array:
    """0 for the first element that the mask keeps, 1 for the next; 0 before the first."""
    counted: Array = np.cumsum(kept, axis=-1) - 1
    return np.maximum(counted, 0)


def lengths(kept: Array) -> Array:
    """How many elements of each row the mask keeps; of the mask's shape without the last axis."""
    return np.asarray(np.sum(kept, axis=-1, dtype=np.int64))


def arange(tensor: Distribution) -> Array:
    """`low`, `low` + 1, ... in every row."""
    row = np.arange(tensor.shape[-1], dtype=np.int64) + int(tensor.low)
    return np.broadcast_to(row, tensor.shape).copy()


def permutation(tensor: Distribution, rng: np.random.Generator) -> Array:
    """Each of 0, 1, ... once in every row, in an order that is drawn."""
    return rng.permuted(arange(tensor), axis=-1)


def one_hot(tensor: Distribution, rng: np.random.Generator) -> Array:
    """A single 1 in every row."""
    chosen = rng.integers(0, max(tensor.shape[-1], 1), (*tensor.shape[:-1], 1))
    array: Array = (np.arange(tensor.shape[-1]) == chosen).astype(np.int64)
    return array


def offsets(tensor: Distribution, rng: np.random.Generator) -> Array:
    """0, then ascending, each at most `high`: where the parts of a list of that length begin."""
    drawn = np.sort(rng.integers(0, int(tensor.high), tensor.shape, endpoint=True), axis=-1)
    drawn[..., :1] = 0
    return drawn


def choice(tensor: Distribution, rng: np.random.Generator) -> Array:
    """Each element one of `values`; with `unique`, no value twice in a row."""
    values = np.asarray(tensor.values)
    if not tensor.unique:
        return values[rng.integers(0, len(values), tensor.shape)]
    return values[unique_integers(tensor, rng, 0, len(values))]


def boxes(tensor: Distribution, rng: np.random.Generator) -> Array:
    """x1, y1, x2, y2 in every row, x1 <= x2 and y1 <= y2, from `low` up to `high`; float64."""
    if tensor.shape[-1] != 4:
        raise wrong(tensor, f"a box has 4 numbers, its last axis {tensor.shape[-1]}", "make the last axis 4")
    corners = rng.uniform(tensor.low, tensor.high, (*tensor.shape[:-1], 2, 2))  # corner, coordinate
    return np.sort(corners, axis=-2).reshape(tensor.shape)


def unique_integers(tensor: Distribution, rng: np.random.Generator, low: int, high: int) -> Array:
    """Integers from `low` up to and without `high`, none of them twice in a row."""
    size = tensor.shape[-1]
    if high - low < size:
        raise wrong(
            tensor,
            f"{size} different values are asked for in each row, and there are {max(high - low, 0)}",
            "make 'high' greater, give more 'values', or leave 'unique' out",
        )
    count = prod(tensor.shape[:-1])
    rows = [rng.choice(high - low, size, replace=False) for _ in range(count)]
    return np.asarray(rows, np.int64).reshape(tensor.shape) + low
