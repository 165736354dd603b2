"""Outputs whose sides have different float dtypes: a failure, unless their tolerance says ``dtype: any``."""

from __future__ import annotations

import numpy as np

from parity.artifacts import Array
from parity.measuring import default_bound
from parity.records.measurements import Tolerance


def may_differ(rule: Tolerance | None, reference: str, candidate: str) -> bool:
    """Whether a rule lets two dtypes be compared: one dtype, or two floats under ``dtype: any``."""
    if reference == candidate:
        return True
    return rule is not None and rule.dtype == "any" and _is_float(reference) and _is_float(candidate)


def coarser(reference: str, candidate: str) -> str:
    """The dtype whose default tolerances hold: the coarser, as in `torch.testing.assert_close`."""
    return max(reference, candidate, key=lambda dtype: default_bound(dtype).rtol)


def in_one_dtype(reference: Array, candidate: Array) -> tuple[Array, Array]:
    """Both in a dtype that holds the values of both, float32 or float64; as they are where it is one."""
    if reference.dtype == candidate.dtype:
        return reference, candidate
    wide = np.float64 if np.float64 in (reference.dtype, candidate.dtype) else np.float32
    return reference.astype(wide, copy=False), candidate.astype(wide, copy=False)


def _is_float(dtype: str) -> bool:
    return dtype.startswith(("float", "bfloat"))
