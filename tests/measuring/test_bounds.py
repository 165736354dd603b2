"""Default bounds against those of torch.testing.assert_close, and one step of float8."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
import torch
from support.arrays import tolerance

from parity.measuring import Bound, default_bound, measure


@pytest.mark.parametrize(
    "dtype", ["float16", "bfloat16", "float32", "float64", "complex64", "complex128", "int8", "int64", "bool"]
)
def test_defaults_are_those_of_assert_close(dtype: str) -> None:
    rtol, atol = torch.testing._comparison.default_tolerances(getattr(torch, dtype))
    assert default_bound(dtype) == Bound(atol=atol, rtol=rtol)


@pytest.mark.parametrize("dtype", ["float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz"])
def test_float8_accepts_its_neighbour_anywhere(dtype: str) -> None:
    info = ml_dtypes.finfo(dtype)
    assert default_bound(dtype) == Bound(float(info.smallest_subnormal), float(info.eps))
    values = np.arange(256, dtype=np.uint8).view(getattr(ml_dtypes, dtype)).astype(np.float64)
    values = np.unique(values[np.isfinite(values)]).astype(dtype)
    assert measure(values[:-1], values[1:], tolerance()).mismatched == 0
    assert measure(values[1:], values[:-1], tolerance()).mismatched == 0
    # Four steps apart are beyond it wherever the format is as fine as it gets.
    assert measure(values[:-4], values[4:], tolerance()).mismatched == len(values) - 4


@pytest.mark.parametrize("dtype", ["float4_e2m1fn", "float8_e8m0fnu", "string", "int4", "uint64"])
def test_the_rest_is_exact(dtype: str) -> None:
    assert default_bound(dtype) == Bound(0.0, 0.0)
