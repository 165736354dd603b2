"""Whether a tensor is another one kept too coarsely: in a narrow floating type, or on a grid of integers."""

from __future__ import annotations

from collections.abc import Iterator

import ml_dtypes
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

# From coarse to fine, as what a coarse type holds a finer one holds too; with the bits of the significand
# behind the point. float32 itself is no finding.
_NARROW = (
    ("float8_e5m2", ml_dtypes.float8_e5m2, 2),
    ("float8_e4m3fn", ml_dtypes.float8_e4m3fn, 3),
    ("bfloat16", ml_dtypes.bfloat16, 7),
    ("float16", np.float16, 10),
)
_STEPS = {"int8": 255, "int4": 15}
_SAMPLE = 4096


def rounded_to(found: Floats, expected: Floats) -> str:
    """What `found` is `expected` rounded to, e.g. ``bfloat16`` or ``an int8 grid of 255 steps``.

    Empty when it is not. Both have one shape and at least two elements; all are finite. A single value lies
    on every grid and in every type: where the expected has several, it was set, not rounded.
    """
    if found.size < 2 or (_is_single(found) and not _is_single(expected)):
        return ""
    for name, dtype, bits in _NARROW:
        if _is_rounded(found, expected, dtype, bits):
            return name
    return next(
        (f"an {name} grid of {steps} steps{where}" for name, steps, where in _grids(found, expected)), ""
    )


def _is_single(value: Floats) -> bool:
    return bool(np.all(value == value.flat[0]))


def _is_rounded(found: Floats, expected: Floats, dtype: npt.DTypeLike, bits: int) -> bool:
    """Whether every element is one of the type, and at most one step off (some tools truncate)."""
    step = max(1, found.size // _SAMPLE)
    for part in (slice(None, None, step), slice(None)):  # a sample first, it answers for most
        some, exact = found.reshape(-1)[part], expected.reshape(-1)[part]
        with np.errstate(over="ignore"):
            kept = some.astype(dtype).astype(np.float64)
        # Below the smallest normal number the steps do not shrink any further.
        smallest = float(ml_dtypes.finfo(dtype).smallest_subnormal)  # type: ignore[no-untyped-call]
        near = np.abs(some - exact) <= 2.0**-bits * np.abs(exact) + smallest
        if not (np.all(kept == some) and np.all(near)):
            return False
    return True


def _grids(found: Floats, expected: Floats) -> Iterator[tuple[str, int, str]]:
    """Integer grids that hold all elements, as (name, steps, which axis has a grid for each channel)."""
    if found.size < 4 or _is_single(found):
        return
    greatest, span = float(np.abs(found - expected).max()), 2 * float(np.abs(found).max())
    for name, steps in _STEPS.items():
        if greatest > 0.505 * span / (steps - 1):  # beyond half a step of the coarsest
            continue
        if _on_grid(found.reshape(1, -1), expected.reshape(1, -1), steps):
            yield name, steps, ""
        for axis in range(found.ndim):
            lines = [np.moveaxis(each, axis, 0).reshape(each.shape[axis], -1) for each in (found, expected)]
            if lines[0].shape[1] >= 4 and _on_grid(lines[0], lines[1], steps):
                yield name, steps, f" for each channel of axis {axis}"


def _on_grid(found: Floats, expected: Floats, steps: int) -> bool:
    """Whether each row has a grid of its own, symmetric about zero or from least to greatest."""
    spans = (2 * np.abs(found).max(1, keepdims=True), np.ptp(found, axis=1, keepdims=True))
    origins = (np.zeros_like(spans[0]), found.min(1, keepdims=True))
    for span, origin in zip((spans[0] * steps / (steps - 1), spans[1]), origins, strict=True):
        if not np.all(np.abs(found - expected) <= 0.505 * span / steps):  # a single value is no grid
            continue
        position = (found - origin) / np.where(span > 0, span / steps, 1.0)
        if np.all(np.abs(position - np.rint(position)) <= 1e-4):
            return True
    return False
