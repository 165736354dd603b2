"""Elements of every dtype in a type that holds any difference of two of them.

float64 holds the difference of two integers of up to 32 bits, and of all narrower floats far below their own
rounding. 64-bit integers are subtracted as integers. Strings have no difference: 0 where equal, 1 where not.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

import numpy as np
import numpy.typing as npt

from parity.artifacts import Array, dtype_name

Floats = npt.NDArray[np.float64]


class Family(Enum):
    """How the elements of a dtype are subtracted."""

    REAL = "real"
    COMPLEX = "complex"
    INTEGER64 = "integer64"
    STRING = "string"


def family_of(dtype: np.dtype[Any]) -> Family:
    """The family of a NumPy or ml_dtypes dtype."""
    name = dtype_name(dtype)
    if name == "string":
        return Family.STRING
    if name.startswith("complex"):
        return Family.COMPLEX
    return Family.INTEGER64 if name in ("int64", "uint64") else Family.REAL


def wide_dtype(family: Family) -> np.dtype[Any]:
    """The dtype that `widen` and `difference` answer in."""
    return np.dtype(np.complex128 if family is Family.COMPLEX else np.float64)


def widen(array: Array, family: Family, out: Array) -> Array:
    """The values in the wide dtype, written to `out` of the same length. Strings have none: zeros."""
    np.copyto(out, 0.0 if family is Family.STRING else array, casting="unsafe")
    return out


def difference(reference: Array, candidate: Array, family: Family, wide: tuple[Array, Array]) -> Array:
    """Candidate minus reference, one-dimensional; `wide` are both as `widen` gives them.

    Overwrites and returns the second of `wide`. The difference of 64-bit integers is rounded away from zero
    where float64 can't hold it: it is within a bound exactly when the true one is.
    """
    wide_reference, out = wide
    match family:
        case Family.STRING:
            np.copyto(out, reference != candidate)
        case Family.INTEGER64:
            native = candidate.dtype.newbyteorder("=")
            np.copyto(out, _integer_difference(reference.astype(native), candidate.astype(native)))
        case _:
            np.subtract(out, wide_reference, out=out)
    return out


def parts(array: Array) -> Floats:
    """A wide array as float64: itself, or real and imaginary parts in turn."""
    floats: Floats = array.view(np.float64)
    return floats


def _integer_difference(reference: Array, candidate: Array) -> Floats:
    """Exact modulo 2^64, and the true magnitude of a difference of 64-bit integers is below 2^64."""
    greater, lesser = np.maximum(reference, candidate), np.minimum(reference, candidate)
    magnitude = greater.view(np.uint64) - lesser.view(np.uint64)
    rounded = magnitude.astype(np.float64)
    if magnitude.max() > 2**53:
        # 2^64 was already rounded up, and does not fit back into uint64.
        fits = rounded < 2.0**64
        low = fits & (np.where(fits, rounded, 0.0).astype(np.uint64) < magnitude)
        rounded = np.where(low, np.nextafter(rounded, np.inf), rounded)
    return np.where(candidate < reference, -rounded, rounded)
