"""Arrays of every dtype, and a slow and plain way to measure them that shares no code with the fast one."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Context, Decimal, localcontext
from fractions import Fraction
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import strategies as st

from parity.artifacts import Array, numpy_dtype, write_tensor
from parity.measuring import streaming
from parity.pairing import Pair
from parity.records.measurements import Tolerance

FLOATS = (
    "float16",
    "float32",
    "float64",
    "bfloat16",
    "float8_e4m3fn",
    "float8_e4m3fnuz",
    "float8_e5m2",
    "float8_e5m2fnuz",
    "float8_e8m0fnu",
    "float4_e2m1fn",
)
INTEGERS = (
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "int4",
    "uint4",
    "int2",
    "uint2",
    "bool",
)
NARROW_BITS = {"int4": 4, "uint4": 4, "int2": 2, "uint2": 2, "float4_e2m1fn": 4, "bool": 1}


def tolerance(pattern: str = "*", **criteria: Any) -> Tolerance:
    return Tolerance(pattern=pattern, line=3, column=5, **criteria)


def from_bits(bits: list[int], dtype: str) -> Array:
    """The array whose elements have these bits: every value of every dtype can be made so."""
    kind = numpy_dtype(dtype)
    width = NARROW_BITS.get(dtype, 8 * kind.itemsize)
    kept = np.array([each & ((1 << width) - 1) for each in bits], np.uint64)
    if "int" in dtype and dtype in NARROW_BITS:
        signed = kept.astype(np.int64)
        if dtype.startswith("int"):
            signed = np.where(signed >= 1 << (width - 1), signed - (1 << width), signed)
        return signed.astype(kind)
    return kept.astype(f"u{kind.itemsize}").view(kind)


@st.composite
def pairs_of_arrays(draw: st.DrawFn, dtype: str) -> tuple[Array, Array]:
    """Two arrays of one dtype and any bits, NaN and infinities included; often equal, often neighbours."""
    word = st.integers(0, 2**64 - 1) | st.integers(0, 40) | st.sampled_from([2**63, 2**64 - 1, 2**53 + 1])
    reference = draw(st.lists(word, min_size=0, max_size=24))
    near = st.integers(-2, 2) | st.just(0) | word
    candidate = [(each + draw(near)) % 2**64 for each in reference]
    return from_bits(reference, dtype), from_bits(candidate, dtype)


def as_python(array: Array) -> list[Any]:
    """Elements as Python's own int or float, which hold each of them exactly."""
    whole = array.dtype.kind in "iub" or array.dtype.name.startswith(("int", "uint"))
    return [int(each) if whole else float(each) for each in array.reshape(-1)]


@dataclass
class Oracle:
    """One element after the other, in fractions."""

    compared: int = 0
    mismatched: int = 0
    unmet: int = 0
    infinite: bool = False
    factor: float = 0.0
    errors: list[Fraction] = field(default_factory=list)
    rr: Fraction = Fraction(0)
    cc: Fraction = Fraction(0)
    rc: Fraction = Fraction(0)
    dd: Fraction = Fraction(0)

    @property
    def rms(self) -> Decimal:
        return root(self.dd / self.compared)

    @property
    def cosine(self) -> float | None:
        return float(decimal(self.rc) / root(self.rr * self.cc)) if self.rr and self.cc else None

    @property
    def snr_db(self) -> float | None:
        if not (self.rr and self.dd):
            return None
        with localcontext(Context(prec=60)):
            return float(10 * decimal(self.rr / self.dd).log10())


def oracle(reference: Array, candidate: Array, atol: float, rtol: float, equal_nan: bool = False) -> Oracle:
    result = Oracle()
    for r, c in zip(as_python(reference), as_python(candidate), strict=True):
        if not (math.isfinite(r) and math.isfinite(c)):
            met = r == c or (equal_nan and math.isnan(r) and math.isnan(c))
            result.unmet += not met
            result.mismatched += not met
            continue
        exact = abs(Fraction(c) - Fraction(r))
        error = Fraction(rounded(exact)) if isinstance(r, float) else exact
        bound = atol + rtol * abs(float(r))
        result.compared += 1
        result.errors.append(error)
        within = math.isinf(bound) or error <= Fraction(bound)
        result.mismatched += not within
        if bound == 0.0:
            result.infinite |= error > 0
        elif math.isfinite(bound):
            factor = error / Fraction(bound)
            result.infinite |= factor >= 2**1024 - 2**970  # where rounding to float64 leaves its range
            result.factor = max(result.factor, rounded(factor))
        result.rr += Fraction(r) ** 2
        result.cc += Fraction(c) ** 2
        result.rc += Fraction(r) * Fraction(c)
        result.dd += exact**2
    return result


def rounded(value: Fraction) -> float:
    """To the nearest float64; the greatest where it is beyond."""
    try:
        return float(value)
    except OverflowError:
        return float(np.finfo(np.float64).max)


def decimal(value: Fraction) -> Decimal:
    with localcontext(Context(prec=60)):
        return Decimal(value.numerator) / Decimal(value.denominator)


def root(value: Fraction) -> Decimal:
    with localcontext(Context(prec=60)):
        return decimal(value).sqrt()


@contextmanager
def small_chunks(chunk: int = 4, chunks_in_block: int = 2, cores: int = 2) -> Iterator[None]:
    """Many chunks, blocks and threads even in a small tensor."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streaming, "CHUNK", chunk)
        patch.setattr(streaming, "BLOCK", chunk * chunks_in_block)
        patch.setattr(streaming, "_cores", lambda: cores)
        yield


def saved_pair(directory: Path, reference: Any, candidate: Any, name: str = "y") -> Pair:
    """Both arrays on disk, as workers leave them."""
    return Pair(
        name=name,
        reference_path=name,
        reference=write_tensor(directory / "reference", name, np.asarray(reference)),
        candidate=write_tensor(directory / "candidate", name, np.asarray(candidate)),
    )


def bfloat16(values: Any) -> Array:
    return np.asarray(values, np.float32).astype(ml_dtypes.bfloat16)
