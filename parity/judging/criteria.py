"""Every criterion of a tolerance: one function each, listed in `parity.registry.CRITERIA`.

A criterion answers with a check for each limit that the applied tolerance sets, none where it sets none.
Every condition is written so that it accepts, and a NaN or a missing figure fails by itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from parity.records.measurements import Check, Measurement, Tolerance

Criterion = Callable[[Tolerance, Measurement], Iterator[Check]]


def nonfinite(_: Tolerance, measured: Measurement) -> Iterator[Check]:
    """NaN and infinities that do not meet their equal fail under every tolerance."""
    unmet = measured.nonfinite.mismatched
    if unmet != 0:
        yield _check("non-finite", "none unmatched", f"{unmet} unmatched", False, None)


def exact(tolerance: Tolerance, measured: Measurement) -> Iterator[Check]:
    """Every element equals the reference; +0 and -0 are equal, NaN meets NaN with equal_nan alone."""
    if tolerance.exact:
        met = measured.mismatched == 0
        yield _check("exact", "all equal", _counted(measured, "differ"), met, 0.0 if met else None)


def rows(_: Tolerance, measured: Measurement) -> Iterator[Check]:
    """Each row has a counterpart, but for those that need none; and unless there are no rows, one has."""
    found = measured.matching
    if found is None or found.kind != "rows":
        return
    lone = found.lone_reference + found.lone_candidate - found.optional
    pairs = found.reference - found.lone_reference
    met = lone == 0 and (pairs > 0 or found.reference == found.candidate == 0)
    text = f"{lone} without, of {found.reference} in the reference and {found.candidate} in the candidate"
    yield _check("rows", "each has a counterpart", text, met, 0.0 if met else None)


def argmax(tolerance: Tolerance, measured: Measurement) -> Iterator[Check]:
    """No decision differs that the reference takes by more than the margin, and there is such a one."""
    found = measured.matching
    if found is None or found.kind != "argmax":
        return
    margin = tolerance.margin or 0.0
    says_something = found.undecided < found.reference or found.reference == 0
    met = found.flipped == 0 and says_something
    text = f"{found.flipped} of {found.reference} differ"
    if not says_something:
        text = f"none of {found.reference} has such a margin: nothing is compared"
    factor = 0.0 if met else _ratio(found.flipped_margin, margin) if found.flipped else None
    yield _check("argmax", f"all equal where the margin is above {margin:.3g}", text, met, factor)


def elementwise(tolerance: Tolerance, measured: Measurement) -> Iterator[Check]:
    """Every element within atol + rtol * |reference|, unless `mismatch` lets some be outside."""
    bounded = tolerance.atol is not None or tolerance.rtol is not None
    if bounded and not tolerance.exact and tolerance.mismatch is None:
        met = measured.mismatched == 0
        yield _check(
            "atol + rtol", _bound(tolerance), _counted(measured, "beyond"), met, measured.bound_factor
        )


def mismatch(tolerance: Tolerance, measured: Measurement) -> Iterator[Check]:
    """The share of elements beyond atol + rtol * |reference|; of an empty tensor it is 0."""
    if tolerance.mismatch is not None:
        share = measured.mismatched / measured.elements if measured.elements else 0.0
        limit = f"{_percent(tolerance.mismatch)} beyond {_bound(tolerance)}"
        met = share <= tolerance.mismatch
        yield _check("mismatch", limit, _percent(share), met, _ratio(share, tolerance.mismatch))


def max_abs(tolerance: Tolerance, measured: Measurement) -> Iterator[Check]:
    """The greatest |candidate - reference|."""
    yield from _at_most("max_abs", tolerance.max_abs, measured.max_abs)


def noise(tolerance: Tolerance, measured: Measurement) -> Iterator[Check]:
    """The greatest |candidate - reference| in multiples of the noise floor; not met without a floor."""
    if tolerance.noise_factor is not None:
        limit = noise_limit(tolerance)
        known = limit is not None
        met = limit is not None and measured.max_abs <= limit
        text = f"at most {tolerance.noise_factor:g} x noise = {f'{limit:.3g}' if known else 'unknown'}"
        factor = None if limit is None else _ratio(measured.max_abs, limit)
        yield _check("noise", text, f"{measured.max_abs:.3g}", met, factor)


def noise_limit(tolerance: Tolerance) -> float | None:
    """noise_factor * noise_floor; None where that is no limit."""
    if tolerance.noise_factor is None or tolerance.noise_floor is None:
        return None
    limit = tolerance.noise_factor * tolerance.noise_floor
    return limit if 0.0 <= limit < math.inf else None


def mean_abs(tolerance: Tolerance, measured: Measurement) -> Iterator[Check]:
    """The mean of |candidate - reference|."""
    yield from _at_most("mean_abs", tolerance.mean_abs, measured.mean_abs)


def rms(tolerance: Tolerance, measured: Measurement) -> Iterator[Check]:
    """The root of the mean of (candidate - reference)^2."""
    yield from _at_most("rms", tolerance.rms, measured.rms)


def ulp(tolerance: Tolerance, measured: Measurement) -> Iterator[Check]:
    """The greatest distance in units in the last place."""
    yield from _at_most("ulp", tolerance.ulp, measured.ulp)


def quantile(tolerance: Tolerance, measured: Measurement) -> Iterator[Check]:
    """The absolute error that a share of the elements does not exceed; one check for each share."""
    for share, limit in tolerance.quantile.items():
        yield from _at_most(f"quantile {share}", limit, measured.quantile.get(share))


def cosine(tolerance: Tolerance, measured: Measurement) -> Iterator[Check]:
    """The cosine of the angle between both tensors as vectors; 1 where both are all zeros."""
    limit = tolerance.cosine
    if limit is None:
        return
    value = 1.0 if _equal(measured) else measured.cosine
    met = value is not None and value >= limit
    factor = None if value is None else _ratio(1.0 - value, 1.0 - limit)
    text = "undefined: one side is all zeros" if value is None else _cosine_text(value)
    yield _check("cosine", f"at least {_cosine_text(limit)}", text, met, factor)


def snr_db(tolerance: Tolerance, measured: Measurement) -> Iterator[Check]:
    """The signal-to-noise ratio; its factor is one of amplitudes, 20 dB are 10."""
    limit = tolerance.snr_db
    if limit is None:
        return
    value = math.inf if _equal(measured) else measured.snr_db
    met = value is not None and value >= limit
    # The power would overflow; 6000 dB below the limit is infinitely far for all that matters.
    factor = None if value is None or limit - value > 6000.0 else 10.0 ** ((limit - value) / 20.0)
    text = "no signal: the reference is all zeros" if value is None else f"{value:.3g} dB"
    yield _check("snr_db", f"at least {limit:.3g} dB", text, met, factor)


def _at_most(criterion: str, limit: float | None, value: float | None) -> Iterator[Check]:
    if limit is not None:
        met = value is not None and value <= limit
        factor = None if value is None else _ratio(value, limit)
        text = "not measured" if value is None else f"{value:.3g}"
        yield _check(criterion, f"at most {limit:.3g}", text, met, factor)


def _check(criterion: str, limit: str, measured: str, met: bool, factor: float | None) -> Check:
    """The factor is above 1 exactly when the criterion is not met, whatever its own rounding says."""
    if factor is not None:
        factor = min(factor, 1.0) if met else max(factor, math.nextafter(1.0, 2.0))
    return Check(criterion=criterion, limit=limit, measured=measured, passed=met, factor=factor)


def _ratio(value: float, limit: float) -> float | None:
    """How many times the limit; None: infinitely."""
    if limit > 0.0 and math.isfinite(value / limit):
        return value / limit
    return 0.0 if value <= 0.0 else None


def _equal(measured: Measurement) -> bool:
    """No error where both sides are finite: then cosine and SNR are at their best even when undefined."""
    return measured.max_abs == 0.0


def _bound(tolerance: Tolerance) -> str:
    parts = (("atol", tolerance.atol), ("rtol", tolerance.rtol))
    return " + ".join(f"{name} {value:.3g}" for name, value in parts if value) or "atol 0"


def _counted(measured: Measurement, what: str) -> str:
    share = f" ({_percent(measured.mismatched / measured.elements)})" if measured.mismatched else ""
    return f"{measured.mismatched} of {measured.elements} {what}{share}"


def _percent(share: float) -> str:
    return f"{100.0 * share:.3g} %"


def _cosine_text(value: float) -> str:
    """With three digits of what is missing to 1, which is what a cosine says."""
    missing = 1.0 - value
    return f"1 - {missing:.3g}" if 0.0 < missing < 1e-3 else f"{value:.4g}"
