"""The bound on each element's error, atol + rtol * |reference|, and what it is when nobody says."""

from __future__ import annotations

from typing import NamedTuple

from parity.records.measurements import Tolerance


class Bound(NamedTuple):
    """An element is within when |candidate - reference| <= atol + rtol * |reference|."""

    atol: float
    rtol: float


EXACT = Bound(0.0, 0.0)

# Down to bfloat16 these are the defaults of torch.testing.assert_close. It has none for float8, where two
# right computations differ by the rounding of the last step: one side may take the upper neighbour, the other
# the lower. One step is at most the format's epsilon, relatively, and its smallest number around zero.
_DEFAULTS = {
    "float64": Bound(1e-7, 1e-7),
    "complex128": Bound(1e-7, 1e-7),
    "float32": Bound(1e-5, 1.3e-6),
    "complex64": Bound(1e-5, 1.3e-6),
    "float16": Bound(1e-5, 1e-3),
    "bfloat16": Bound(1e-5, 1.6e-2),
    "float8_e4m3fn": Bound(2.0**-9, 2.0**-3),
    "float8_e4m3fnuz": Bound(2.0**-10, 2.0**-3),
    "float8_e5m2": Bound(2.0**-16, 2.0**-2),
    "float8_e5m2fnuz": Bound(2.0**-17, 2.0**-2),
}


def default_bound(dtype: str) -> Bound:
    """The bound of an ONNX dtype when a tolerance gives neither atol nor rtol.

    Exact for integers, booleans and strings, and also for float4 and float8_e8m0fnu: their neighbours are
    so far apart that one step would accept nearly everything.
    """
    return _DEFAULTS.get(dtype, EXACT)


def bound_of(tolerance: Tolerance, dtype: str) -> Bound:
    """The bound that a tolerance puts on a tensor: given one of atol and rtol, the other is 0."""
    if tolerance.exact or dtype == "string":
        return EXACT
    if tolerance.atol is None and tolerance.rtol is None:
        return default_bound(dtype)
    return Bound(tolerance.atol or 0.0, tolerance.rtol or 0.0)
