"""Distance in units in the last place: how many representable numbers lie between two floats.

The bits of a float, read as sign and magnitude, are ordered as the numbers are, and neighbours differ by 1;
so the distance of two numbers of one sign is the difference of their magnitudes, and across zero their sum.
+0 and -0 are 0 apart. An integer's unit is 1. A complex number is as far as the farther of its parts.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from parity.artifacts import Array, dtype_name

from .streaming import chunks, over_blocks, window
from .widening import Family, difference, family_of, wide_dtype, widen

_UNSIGNED = "float8_e8m0fnu"  # exponents alone, no sign bit
_NARROW_BITS = {"float4_e2m1fn": 4}  # fewer bits than their storage


def greatest_ulp(reference: Array, candidate: Array) -> float:
    """The greatest distance over all pairs that are finite on both sides; 0 where there is none.

    Both arrays have the same shape and dtype. Strings are 1 apart where they differ.
    """

    def block(start: int, stop: int) -> int:
        with np.errstate(all="ignore"):
            return max(
                _greatest(window(reference, at, end), window(candidate, at, end))
                for at, end in chunks(start, stop)
            )

    return float(max(over_blocks(block, candidate.size), default=0))


def _greatest(reference: Array, candidate: Array) -> int:
    family = family_of(candidate.dtype)
    if family is Family.COMPLEX:
        reference, candidate = _real_parts(reference), _real_parts(candidate)
        family = Family.REAL
    r = widen(reference, family, np.empty(len(reference), wide_dtype(family)))
    c = widen(candidate, family, np.empty_like(r))
    if "float" not in dtype_name(candidate.dtype):
        return int(np.abs(difference(reference, candidate, family, (r, c))).max())
    finite = np.isfinite(r) & np.isfinite(c)
    distances = _distances(reference[finite], candidate[finite])
    return int(distances.max(initial=0))


def _real_parts(array: Array) -> Array:
    order = array.dtype.byteorder
    return np.ascontiguousarray(array).view(np.dtype(f"{order}f{array.dtype.itemsize // 2}"))


def _distances(reference: Array, candidate: Array) -> Array:
    """As uint64, which holds even the distance of the two greatest float64 of opposite signs."""
    r_negative, r = _sign_magnitude(reference)
    c_negative, c = _sign_magnitude(candidate)
    same_sign = np.maximum(r, c) - np.minimum(r, c)
    return np.where(r_negative == c_negative, same_sign, r + c)


def _sign_magnitude(array: Array) -> tuple[Array, Array]:
    dtype: np.dtype[Any] = array.dtype
    unsigned = np.dtype(f"{'' if dtype.byteorder == '|' else dtype.byteorder}u{dtype.itemsize}")
    bits = np.ascontiguousarray(array).view(unsigned).astype(np.uint64)
    name = dtype_name(dtype)
    if name == _UNSIGNED:
        return np.zeros(bits.shape, np.bool_), bits
    sign = np.uint64(1 << (_NARROW_BITS.get(name, 8 * dtype.itemsize) - 1))
    return (bits & sign) != 0, bits & (sign - np.uint64(1))
