"""One `OutputResult` for each pair of tensors. What can't be compared has failed."""

from __future__ import annotations

from functools import cache

from parity.artifacts import read_tensor
from parity.measuring import measure
from parity.pairing import Pair
from parity.records.measurements import Check, Measurement, Tolerance
from parity.records.results import OutputResult
from parity.registry import CRITERIA, resolve

from .criteria import Criterion
from .dtypes import coarser, in_one_dtype, may_differ
from .matched import Matched, match_outputs
from .noise import NOT_MEASURED, Floors, says_nothing, with_floor
from .tolerances import applied, resolve_tolerances
from .unlike import unlike


def compare_outputs(
    pairs: tuple[Pair, ...], rules: tuple[Tolerance, ...], spec_file: str, floors: Floors = NOT_MEASURED
) -> tuple[OutputResult, ...]:
    """Measures and judges every pair, in order; the one way from tensors on disk to a verdict.

    An output whose tolerance is a multiple of a noise floor that `floors` does not have is an error, unless
    it has failed by another criterion. No pairs give no results, which is for the caller to report as an
    error and never as a pass.

    Raises:
        SpecError: an output without a rule, a rule without an output, or one that its dtype can't have.
        CannotJudge: a saved tensor can't be read.
    """
    missing = [pair.name for pair in pairs if pair.problem]
    found = resolve_tolerances(rules, (pair.name for pair in pairs), spec_file, missing)
    tolerances = {
        pair.name: applied(
            found[pair.name], pair.name, coarser(pair.reference.dtype, pair.candidate.dtype), spec_file
        )
        for pair in pairs
        if pair.name in found
        and pair.reference is not None
        and pair.candidate is not None
        and may_differ(found[pair.name], pair.reference.dtype, pair.candidate.dtype)
    }
    matched = match_outputs(pairs, tolerances, spec_file)
    return tuple(
        _compare(pair, tolerances.get(pair.name), found.get(pair.name), floors, matched.get(pair.name))
        for pair in pairs
    )


def judge_output(
    pair: Pair,
    tolerance: Tolerance | None,
    measurement: Measurement | None,
    no_floor: str = "",
    unmatched: str = "",
) -> OutputResult:
    """The verdict on one pair.

    Args:
        pair: both tensors' records.
        tolerance: as `applied` gives it; None, which fails, where there is none.
        measurement: of both tensors; None, which fails, where they can't be compared.
        no_floor: why the tolerance lacks the noise floor that it needs.
        unmatched: why nothing could be matched, where the tolerance asks for that.
    """
    described = pair.candidate or pair.reference
    checks = _checks(tolerance, measurement) if tolerance and measurement else ()
    passed = bool(checks) and all(check.passed for check in checks)
    if tolerance and measurement:
        if passed:
            no_floor = says_nothing(tolerance, measurement, checks)
        elif no_floor:
            checks = tuple(check for check in checks if check.criterion != "noise")
        if no_floor and all(check.passed for check in checks):
            return _unjudged(pair, tolerance, measurement, no_floor)
    return OutputResult(
        name=pair.name,
        status="passed" if passed else "failed",
        reference_path=pair.reference_path,
        dtype=described.dtype if described else "",
        reference_dtype=_another_dtype(pair) if measurement is not None else "",
        shape=described.shape if described else (),
        max_abs=measurement.max_abs if measurement is not None else None,
        factor=_worst(checks),
        problem=unmatched or unlike(pair, tolerance) or _nonfinite(measurement) or no_floor,
        tolerance=tolerance,
        checks=checks,
        measurement=measurement,
    )


def _unjudged(pair: Pair, tolerance: Tolerance, measured: Measurement, problem: str) -> OutputResult:
    """Without its checks and figures, which would read like a verdict, but for the greatest error."""
    assert pair.candidate is not None
    return OutputResult(
        name=pair.name,
        status="error",
        reference_path=pair.reference_path,
        dtype=pair.candidate.dtype,
        reference_dtype=_another_dtype(pair),
        shape=pair.candidate.shape,
        max_abs=measured.max_abs,
        problem=problem,
        tolerance=tolerance,
    )


def _absent(pair: Pair, rule: Tolerance | None) -> OutputResult:
    """Nothing on both sides: an optional output without value, an empty sequence or map."""
    check = Check(
        criterion="presence",
        limit="as in the reference",
        measured="nothing on both sides",
        passed=True,
        factor=0.0,
    )
    return OutputResult(
        name=pair.name,
        status="passed",
        reference_path=pair.reference_path,
        factor=0.0,
        tolerance=rule,
        checks=(check,),
    )


def _compare(
    pair: Pair,
    tolerance: Tolerance | None,
    rule: Tolerance | None,
    floors: Floors,
    matched: Matched | str | None,
) -> OutputResult:
    """`rule` is what the tolerance was before it was applied, which is what is shown where nothing is."""
    reference, candidate = pair.reference, pair.candidate
    if pair.absent:
        return _absent(pair, rule)
    if isinstance(matched, str):
        return judge_output(pair, rule, None, unmatched=matched)
    if tolerance is None or reference is None or candidate is None:
        return judge_output(pair, rule, None)
    if matched is None and unlike(pair, tolerance):
        return judge_output(pair, rule, None)
    tolerance, no_floor = with_floor(tolerance, floors, reference.name)
    if matched is not None:
        return judge_output(pair, tolerance, matched.measure(tolerance), no_floor)
    arrays = in_one_dtype(read_tensor(reference), read_tensor(candidate))
    measurement = measure(*arrays, tolerance)
    return judge_output(pair, tolerance, measurement, no_floor)


def _another_dtype(pair: Pair) -> str:
    assert pair.reference is not None
    assert pair.candidate is not None
    return pair.reference.dtype if pair.reference.dtype != pair.candidate.dtype else ""


def _nonfinite(measurement: Measurement | None) -> str:
    if measurement is None or measurement.nonfinite.mismatched == 0:
        return ""
    found = measurement.nonfinite
    return (
        f"{found.mismatched} of {measurement.elements} elements are NaN or infinite without meeting their "
        f"equal: NaN {found.reference_nan} in the reference, {found.candidate_nan} in the candidate; "
        f"infinite {found.reference_inf} and {found.candidate_inf}"
    )


def _checks(tolerance: Tolerance, measurement: Measurement) -> tuple[Check, ...]:
    return tuple(check for criterion in _criteria() for check in criterion(tolerance, measurement))


@cache
def _criteria() -> tuple[Criterion, ...]:
    return tuple(resolve(target) for target in CRITERIA.values())


def _worst(checks: tuple[Check, ...]) -> float | None:
    factors = [check.factor for check in checks]
    finite = [factor for factor in factors if factor is not None]
    return max(finite) if factors and len(finite) == len(factors) else None
