"""Inputs drawn from distributions. The same seed gives the same bytes, whatever other inputs there are."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import ml_dtypes
import numpy as np

from parity.artifacts import Array, numpy_dtype
from parity.records.jobs import Distribution, GeneratedInputs
from parity.worker.problems import Unable


def generate(source: GeneratedInputs) -> dict[str, Array]:
    """Draws every tensor of one input set.

    Raises:
        Unable: ``specification``; a tensor's dtype can't hold what its distribution draws.
    """
    return {tensor.name: draw(tensor, source.seed) for tensor in source.tensors}


def draw(tensor: Distribution, seed: tuple[int, ...]) -> Array:
    """One tensor of `tensor.shape` and `tensor.dtype`.

    The generator is seeded with the set's seed and the tensor's name, so that adding or renaming an input
    does not change the others.
    """
    dtype = numpy_dtype(tensor.dtype)
    if not (_is_float(dtype) or dtype.kind in "iub" or "int" in dtype.name):
        raise _wrong(tensor, "nothing can be drawn for it", "give the input by 'files' or 'provider'")
    if not all(map(math.isfinite, (tensor.mean, tensor.std, tensor.low, tensor.high))):
        raise _wrong(tensor, "mean, std, low and high must be finite", "use the distribution 'constant'")
    name = int.from_bytes(hashlib.sha256(tensor.name.encode()).digest()[:8])
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([*seed, name])))
    if tensor.distribution in {"normal", "uniform"}:
        array = _fractions(tensor, dtype, rng)
    elif tensor.distribution == "integers":
        array = _integers(tensor, dtype, rng)
    else:
        array = _constant(tensor, dtype)
    if tensor.sparsity:
        _make_sparse(array, tensor.sparsity, rng)
    return array


def _fractions(tensor: Distribution, dtype: np.dtype[np.generic], rng: np.random.Generator) -> Array:
    if not _is_float(dtype):
        raise _wrong(
            tensor, f"a {tensor.distribution} distribution draws fractions", "use the distribution 'integers'"
        )
    # Narrow floats are drawn in float32 and rounded.
    wide = np.float64 if dtype == np.float64 else np.float32
    if tensor.distribution == "normal":
        values: Array = np.asarray(rng.standard_normal(tensor.shape, dtype=wide))
        values *= wide(tensor.std)
        values += wide(tensor.mean)
    else:
        values = np.asarray(rng.random(tensor.shape, dtype=wide))
        values *= wide(tensor.high - tensor.low)
        values += wide(tensor.low)
    return _rounded(tensor, values, dtype)


def _integers(tensor: Distribution, dtype: np.dtype[np.generic], rng: np.random.Generator) -> Array:
    low, high = math.ceil(tensor.low), math.ceil(tensor.high)
    if low >= high:
        raise _wrong(tensor, f"no integer is in [{tensor.low:g}, {tensor.high:g})", "set low and high")
    _check_range(tensor, np.dtype(np.int64) if _is_float(dtype) else dtype, low, high - 1)
    if dtype == np.uint64:
        return np.asarray(rng.integers(low, high, tensor.shape, dtype=np.uint64))
    return _rounded(tensor, np.asarray(rng.integers(low, high, tensor.shape)), dtype)


def _constant(tensor: Distribution, dtype: np.dtype[np.generic]) -> Array:
    value = {"zeros": 0.0, "ones": 1.0}.get(tensor.distribution, tensor.value)
    if _is_float(dtype):
        values = np.full(tensor.shape, value)
        # NaN and infinity are given where they are asked for.
        return _rounded(tensor, values, dtype) if math.isfinite(value) else values.astype(dtype)
    if not float(value).is_integer():
        raise _wrong(tensor, f"the constant {value:g} is no whole number", "use a whole number")
    _check_range(tensor, dtype, int(value), int(value))
    return np.full(tensor.shape, int(value), np.uint64 if value > 0 else np.int64).astype(dtype)


def _make_sparse(array: Array, share: float, rng: np.random.Generator) -> None:
    """Sets exactly that share of the elements to zero, rounded to whole elements."""
    mask = np.zeros(array.size, np.bool_)
    mask[: round(share * array.size)] = True
    rng.shuffle(mask)
    array[mask.reshape(array.shape)] = 0


def _rounded(tensor: Distribution, values: Array, dtype: np.dtype[np.generic]) -> Array:
    with np.errstate(over="ignore", invalid="ignore"):
        array: Array = values.astype(dtype, copy=False)
    # An infinity that nobody asked for would make every output NaN or meaningless.
    if _is_float(dtype) and not np.isfinite(array).all():
        raise _wrong(tensor, "some values are beyond its range", "use a smaller mean, std, high or value")
    return array


def _check_range(tensor: Distribution, dtype: np.dtype[np.generic], least: int, greatest: int) -> None:
    smallest, largest = _range(dtype)
    if not (smallest <= least and greatest <= largest):
        raise _wrong(
            tensor,
            f"the values {least} to {greatest} are not in its range, {smallest} to {largest}",
            "change low, high or value, or use a wider dtype",
        )


def _range(dtype: np.dtype[np.generic]) -> tuple[int, int]:
    if dtype.kind == "b":
        return 0, 1
    limits: Any = ml_dtypes.iinfo(dtype)  # type: ignore[no-untyped-call]
    return int(limits.min), int(limits.max)


def _is_float(dtype: np.dtype[np.generic]) -> bool:
    return dtype.kind == "f" or "float" in dtype.name


def _wrong(tensor: Distribution, why: str, fix: str) -> Unable:
    return Unable("specification", f"the input {tensor.name!r} is of dtype {tensor.dtype}: {why}", fix=fix)
