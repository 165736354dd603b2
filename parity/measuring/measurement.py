"""Two tensors in, one `Measurement` out."""

from __future__ import annotations

from dataclasses import asdict
from decimal import Decimal

import numpy as np

from parity.artifacts import Array, dtype_name
from parity.records.measurements import Element, Measurement, Nonfinite, Tolerance

from .bounds import bound_of
from .elementwise import GREATEST, BlockTally
from .quantile import quantiles
from .streaming import over_blocks
from .tally import NO_PEAK, Peak, Sums, Tally
from .ulp import greatest_ulp


def measure(reference: Array, candidate: Array, tolerance: Tolerance) -> Measurement:
    """How the candidate differs from the reference, element by element and as a whole.

    Both arrays have the same shape and dtype, which the caller has made sure of; they may be mapped from
    files, of any memory order, empty or 0-d. Beside the arrays, memory of a few MiB for each core is used.
    Of the tolerance, atol, rtol, exact and equal_nan decide what counts as mismatched; without atol and rtol,
    the dtype's defaults do. ulp and quantile are measured only when the tolerance has them.
    Numbers beyond the range of float64 are given as its greatest.
    """
    bound = bound_of(tolerance, dtype_name(candidate.dtype))

    def block(start: int, stop: int) -> Tally:
        return BlockTally(reference, candidate, bound, tolerance.equal_nan).over(start, stop)

    tally = Tally()
    for part in over_blocks(block, candidate.size):
        tally.merge(part)
    compared, unmet = tally.compared, tally.nonfinite.mismatched
    infinite = unmet > 0 or tally.farthest.value == np.inf
    return Measurement(
        elements=candidate.size,
        compared=compared,
        max_abs=max(tally.largest.value, 0.0),
        mean_abs=_finite(tally.sums.absolute / compared) if compared else 0.0,
        rms=_finite((tally.sums.dd / compared).sqrt()) if compared else 0.0,
        cosine=_cosine(tally.sums),
        snr_db=_snr_db(tally.sums),
        mismatched=tally.beyond + unmet,
        bound_factor=None if infinite else max(tally.farthest.value, 0.0),
        largest=_element(reference, candidate, tally.largest),
        worst=_element(
            reference, candidate, NO_PEAK._replace(at=tally.first_unmet) if unmet else tally.farthest
        ),
        nonfinite=Nonfinite(**asdict(tally.nonfinite)),
        reference_max_abs=tally.reference_max_abs,
        ulp=None if tolerance.ulp is None else greatest_ulp(reference, candidate),
        quantile=quantiles(reference, candidate, tolerance.quantile, compared),
    )


def _cosine(sums: Sums) -> float | None:
    """Sum r c / sqrt(sum r^2 sum c^2); None where one side is all zeros."""
    if not (sums.rr and sums.cc):
        return None
    return min(max(float(sums.rc / (sums.rr * sums.cc).sqrt()), -1.0), 1.0)


def _snr_db(sums: Sums) -> float | None:
    """10 log10(sum r^2 / sum (c - r)^2); None where it is infinite: no error, or no signal."""
    return float(10 * (sums.rr / sums.dd).log10()) if sums.rr and sums.dd else None


def _finite(value: Decimal) -> float:
    return min(float(value), GREATEST)


def _element(reference: Array, candidate: Array, peak: Peak) -> Element | None:
    """The element of a peak; the first one, without an error, where nothing was finite."""
    if not candidate.size:
        return None
    index = tuple(int(axis) for axis in np.unravel_index(max(peak.at, 0), candidate.shape))
    return Element(
        index=index,
        reference=_text(reference, index),
        candidate=_text(candidate, index),
        abs_error=peak.abs_error if peak.value >= 0.0 else None,
    )


def _text(array: Array, index: tuple[int, ...]) -> str:
    """The shortest text that gives the value back; what NumPy has no type for, as a Python number."""
    name, value = dtype_name(array.dtype), array[index]
    if name == "string":
        return repr(str(value))
    if array.dtype.kind in "fciub":
        return str(value)
    return str(int(value)) if "int" in name else str(float(value))
