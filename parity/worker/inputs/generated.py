"""Inputs drawn from distributions. The same seed gives the same bytes, whatever other inputs there are."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping

import numpy as np

from parity.artifacts import Array, numpy_dtype
from parity.records.inputs import Distribution, GeneratedInputs
from parity.worker.inputs.holding import Dtype, check_range, check_size, held, is_float, rounded, wrong
from parity.worker.inputs.structured import structured, unique_integers


def generate(source: GeneratedInputs) -> dict[str, Array]:
    """Draws every tensor of one input set; masks first, since others may follow them.

    Raises:
        Unable: ``specification``; a tensor's dtype can't hold what its distribution draws. ``input``; the
            machine can't hold the tensor.
    """
    masks = {
        tensor.name: draw(tensor, source.seed) for tensor in source.tensors if tensor.distribution == "mask"
    }
    return {
        tensor.name: masks[tensor.name] if tensor.name in masks else draw(tensor, source.seed, masks)
        for tensor in source.tensors
    }


def draw(tensor: Distribution, seed: tuple[int, ...], masks: Mapping[str, Array] | None = None) -> Array:
    """One tensor of `tensor.shape` and `tensor.dtype`.

    The generator is seeded with the set's seed and the tensor's name, so that adding or renaming an input
    does not change the others.

    Args:
        tensor: how it is drawn.
        seed: of the input set.
        masks: by name; those that the tensor follows must be there.
    """
    dtype = numpy_dtype(tensor.dtype)
    if not (is_float(dtype) or dtype.kind in "iub" or "int" in dtype.name):
        raise wrong(tensor, "nothing can be drawn for it", "give the input by 'files' or 'provider'")
    if not all(map(math.isfinite, (tensor.mean, tensor.std, tensor.low, tensor.high))):
        raise wrong(tensor, "mean, std, low and high must be finite", "use the distribution 'constant'")
    check_size(tensor)
    name = int.from_bytes(hashlib.sha256(tensor.name.encode()).digest()[:8])
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([*seed, name])))
    array = _drawn(tensor, dtype, rng, masks or {})
    if tensor.sorted:
        array = np.sort(array, axis=-1)
    if tensor.sparsity:
        _make_sparse(array, tensor.sparsity, rng)
    if tensor.padding is not None:
        kept = (masks or {})[tensor.padding.mask] != 0
        value = _constant(tensor, dtype, tensor.padding.value)
        # The mask's axes are the first ones of the tensor: it holds for all that is behind them.
        array = np.where(kept.reshape(*kept.shape, *[1] * (array.ndim - kept.ndim)), array, value)
    return array


def _drawn(tensor: Distribution, dtype: Dtype, rng: np.random.Generator, masks: Mapping[str, Array]) -> Array:
    if tensor.distribution in {"normal", "uniform"}:
        return _fractions(tensor, dtype, rng)
    if tensor.distribution == "integers":
        return _integers(tensor, dtype, rng)
    constants = {"zeros": 0.0, "ones": 1.0, "constant": tensor.value}
    if tensor.distribution in constants:
        return _constant(tensor, dtype, constants[tensor.distribution])
    return held(tensor, structured(tensor, rng, masks), dtype)


def _fractions(tensor: Distribution, dtype: Dtype, rng: np.random.Generator) -> Array:
    if not is_float(dtype):
        raise wrong(
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
    return rounded(tensor, values, dtype)


def _integers(tensor: Distribution, dtype: Dtype, rng: np.random.Generator) -> Array:
    low, high = math.ceil(tensor.low), math.ceil(tensor.high)
    if low >= high:
        raise wrong(tensor, f"no integer is in [{tensor.low:g}, {tensor.high:g})", "set low and high")
    check_range(tensor, np.dtype(np.int64) if is_float(dtype) else dtype, low, high - 1)
    if tensor.unique:
        return rounded(tensor, unique_integers(tensor, rng, low, high), dtype)
    if dtype == np.uint64:
        return np.asarray(rng.integers(low, high, tensor.shape, dtype=np.uint64))
    return rounded(tensor, np.asarray(rng.integers(low, high, tensor.shape)), dtype)


def _constant(tensor: Distribution, dtype: Dtype, value: float) -> Array:
    if is_float(dtype):
        values = np.full(tensor.shape, value)
        # NaN and infinity are given where they are asked for.
        return rounded(tensor, values, dtype) if math.isfinite(value) else values.astype(dtype)
    if not float(value).is_integer():
        raise wrong(tensor, f"the constant {value:g} is no whole number", "use a whole number")
    check_range(tensor, dtype, int(value), int(value))
    return np.full(tensor.shape, int(value), np.uint64 if value > 0 else np.int64).astype(dtype)


def _make_sparse(array: Array, share: float, rng: np.random.Generator) -> None:
    """Sets exactly that share of the elements to zero, rounded to whole elements."""
    mask = np.zeros(array.size, np.bool_)
    mask[: round(share * array.size)] = True
    rng.shuffle(mask)
    array[mask.reshape(array.shape)] = 0
