"""What a dtype can hold, and what the machine can: nothing wraps, and nothing becomes infinite unasked."""

from __future__ import annotations

from math import prod
from typing import Any

import ml_dtypes
import numpy as np
import psutil

from parity.artifacts import Array, numpy_dtype
from parity.records.inputs import Distribution
from parity.worker.problems import Unable

Dtype = np.dtype[np.generic]


def check_size(tensor: Distribution) -> None:
    """Raises `Unable` for a tensor that is larger than this machine's memory."""
    needed, there = prod(tensor.shape) * numpy_dtype(tensor.dtype).itemsize, psutil.virtual_memory().total
    if needed > there:
        raise Unable(
            "input",
            f"the input {tensor.name!r} is {tensor.dtype}{list(tensor.shape)}: {needed / 2**30:,.1f} GiB, "
            f"and this machine has {there / 2**30:,.1f} GiB of memory",
            fix="make its shape, or the sizes in `dims`, smaller",
        )


def rounded(tensor: Distribution, values: Array, dtype: Dtype) -> Array:
    """The values in the dtype. Raises `Unable` when one would become infinite."""
    with np.errstate(over="ignore", invalid="ignore"):
        array: Array = values.astype(dtype, copy=False)
    # An infinity that nobody asked for would make every output NaN or meaningless.
    if is_float(dtype) and not np.isfinite(array).all():
        raise wrong(tensor, "some values are beyond its range", "use a smaller mean, std, high or value")
    return array


def held(tensor: Distribution, values: Array, dtype: Dtype) -> Array:
    """Integers in the dtype. Raises `Unable` when one would wrap."""
    if values.size and not is_float(dtype):
        check_range(tensor, dtype, int(values.min()), int(values.max()))
    return rounded(tensor, values, dtype)


def check_range(tensor: Distribution, dtype: Dtype, least: int, greatest: int) -> None:
    """Raises `Unable` unless all integers from `least` to `greatest` are the dtype's."""
    smallest, largest = _range(dtype)
    if not (smallest <= least and greatest <= largest):
        raise wrong(
            tensor,
            f"the values {least} to {greatest} are not in its range, {smallest} to {largest}",
            "change low, high or value, or use a wider dtype",
        )


def is_float(dtype: Dtype) -> bool:
    """Whether it has fractions: also bfloat16 and float8, whose kind NumPy does not know."""
    return dtype.kind == "f" or "float" in dtype.name


def wrong(tensor: Distribution, why: str, fix: str) -> Unable:
    """Says what is wrong with a tensor of the specification."""
    return Unable("specification", f"the input {tensor.name!r} is of dtype {tensor.dtype}: {why}", fix=fix)


def _range(dtype: Dtype) -> tuple[int, int]:
    if dtype.kind == "b":
        return 0, 1
    limits: Any = ml_dtypes.iinfo(dtype)  # type: ignore[no-untyped-call]
    return int(limits.min), int(limits.max)
