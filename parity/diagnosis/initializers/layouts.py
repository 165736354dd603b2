"""The layouts in which a file may hold a parameter, and whether two values are the same."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from parity.artifacts import Array

from .differences import tolerance
from .rearranging import rearranged

# Half a unit in the last place, relative, and half the least step near zero.
_NARROW = {"float16": (2.0**-11, 2.0**-25), "bfloat16": (2.0**-9, 0.0)}


def layouts(value: Array, shape: tuple[int, ...]) -> Iterator[tuple[str, Array]]:
    """A parameter in all layouts of this shape: as it is, transposed, reshaped; views where possible."""
    if value.shape == shape:
        yield "equal", value
    for axes in rearranged(shape, value.shape):
        yield "transposed", value.transpose(axes)
    if value.shape == shape or value.size != int(np.prod(shape, dtype=np.int64)):
        return
    squeezed = tuple(each for each in shape if each != 1)
    plain = value.reshape([each for each in value.shape if each != 1])
    if (plain.shape != shape and len(squeezed) < len(shape)) or plain.ndim < value.ndim:
        for axes in rearranged(squeezed, plain.shape):
            yield "transposed", plain.transpose(axes).reshape(shape)
    yield "reshaped", value.reshape(shape)


def narrowed(value: Array, like: Array) -> bool:
    """Whether the file holds a narrower type than the module."""
    return bool(like.dtype.name in _NARROW and value.dtype.name not in _NARROW)


def same(found: Array, expected: Array) -> bool:
    """Whether every element is the expected one, as exactly as the file's type can hold it."""
    with np.errstate(invalid="ignore", over="ignore"):
        exact = expected.astype(np.float64)
        apart = np.abs(found.astype(np.float64) - exact)
        bound = tolerance(exact)
        if found.dtype.name in _NARROW:
            relative, least = _NARROW[found.dtype.name]
            bound = bound + relative * 1.01 * np.abs(exact) + max(least, 6e-8)  # converters flush below 1e-7
        equal = (found == expected) | (np.isnan(found) & np.isnan(expected))
        return bool(np.all((apart <= bound) | equal))


def near(found: tuple[float, ...], expected: tuple[float, ...], like: Array) -> bool:
    """Whether signatures are the same, which says that values may be."""
    narrow = like.dtype.name in _NARROW
    relative = 4 * _NARROW[like.dtype.name][0] if narrow else 4e-6
    largest = max(abs(expected[0]), abs(expected[1]))
    bound = (relative * largest if math.isfinite(largest) else 0.0) + (1e-7 if narrow else 0.0)
    return all(
        abs(one - other) <= bound or one == other or (math.isnan(one) and math.isnan(other))
        for one, other in zip(found, expected, strict=True)
    )
