"""Constants of two graphs, compared by value: equal up to rounding is one class."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from parity.artifacts import Array

# The same exporter folds the same constants; on another device it rounds differently. Anything that is wrong,
# be it rounded to float16, is further off.
_RTOL, _ATOL = 1e-6, 1e-7


def same(found: Array, expected: Array) -> bool:
    """Whether two constants have one dtype, one shape and, up to float32's rounding, the same elements.

    An element may be off by 1e-6 of itself and 1e-7 of the greatest. NaN is the same as NaN.
    """
    if found.dtype != expected.dtype or found.shape != expected.shape:
        return False
    if not floating(found):
        return bool(np.array_equal(found, expected))
    one, other = found.astype(np.float64), expected.astype(np.float64)
    finite = np.abs(other[np.isfinite(other)])
    atol = _ATOL * float(finite.max()) if finite.size else 0.0
    with np.errstate(invalid="ignore"):
        near = np.abs(one - other) <= atol + _RTOL * np.abs(other)
    # An infinity is near everything by the line above: it must be met by itself.
    near = np.where(np.isinf(one) | np.isinf(other), one == other, near)
    return bool(np.all(near | (np.isnan(one) & np.isnan(other))))


def floating(array: Array) -> bool:
    """Whether it holds floats, the narrow ones that NumPy does not know included."""
    return bool(array.dtype.kind == "f" or str(array.dtype).startswith(("bfloat", "float")))


def nearness(found: Array, expected: Array) -> float:
    """How alike two constants are that are not the same: 0 for another dtype or shape, else 0.1 to 0.95."""
    if found.dtype != expected.dtype or found.shape != expected.shape:
        return 0.0
    if not floating(found):
        return 0.3 + 0.4 * float(np.mean(found == expected)) if found.size else 0.95
    one, other = found.astype(np.float64), expected.astype(np.float64)
    with np.errstate(all="ignore"):
        off = np.linalg.norm(one - other) / (np.linalg.norm(one) + np.linalg.norm(other))
    return max(0.95 - 1.2 * float(off), 0.1) if off <= 1 else 0.1


class ValueClasses:
    """Numbers for constants: those that are the same up to rounding share one."""

    def __init__(self) -> None:
        self._exact: dict[tuple[str, tuple[int, ...], bytes], int] = {}
        self._near: dict[tuple[str, tuple[int, ...]], list[tuple[float, float, int]]] = {}
        self.arrays: list[Array] = []

    def number(self, array: Array) -> int:
        """The number of the constant's class."""
        kind = (str(array.dtype), array.shape)
        key = (*kind, hashlib.blake2b(_bytes(array), digest_size=16).digest())
        found = self._exact.get(key)
        if found is None:
            found = self._exact[key] = self._near_or_new(kind, array)
        return found

    def _near_or_new(self, kind: tuple[str, tuple[int, ...]], array: Array) -> int:
        if not floating(array):
            return self._new(array)
        with np.errstate(all="ignore"):
            wide = array.astype(np.float64)
            total, size = float(wide.sum()), float(np.abs(wide).sum())
        known = self._near.setdefault(kind, [])
        for other_total, other_size, number in known:
            # Sums first: comparing every pair of a thousand weights of one shape would take minutes.
            far = abs(total - other_total) > 1e-5 * (size + other_size)  # False for NaN and infinity
            if not far and same(array, self.arrays[number]):
                return number
        number = self._new(array)
        known.append((total, size, number))
        return number

    def _new(self, array: Array) -> int:
        self.arrays.append(array)
        return len(self.arrays) - 1


def _bytes(array: Array) -> bytes:
    if array.dtype == object:
        return repr(array.tolist()).encode()
    return array.tobytes()


def shown(value: Any) -> str:
    """A number, a text or a short list as a message shows it; a longer one by its dtype, shape and range."""
    array = np.asarray(value)
    if array.dtype.kind in "OSU" or array.dtype == bool:
        return str(array.tolist())
    if array.size > 8:
        wide = array.astype(np.float64)
        return f"{array.dtype}{list(array.shape)} from {wide.min():.6g} to {wide.max():.6g}"
    texts = [f"{each:.6g}" if floating(array) else str(each) for each in array.reshape(-1).tolist()]
    return texts[0] if array.ndim == 0 or array.size == 1 else f"[{', '.join(texts)}]"
