"""Errors that have grown since a baseline, while they may still be within tolerance. Pure.

An output has grown when its greatest absolute error is more than `max_growth` times that of the baseline
*and* more than rounding may come to. Without the second half an output that agreed to the last bit on one
processor, and does not on the next, would have grown without bound. Rounding may come to the larger of

- `LAST_PLACES` units in the last place of the reference's greatest element: eps(dtype) * max|reference|, the
  rounding of a few operations; one unit for integers;
- `ABOVE_NOISE` times the noise floor, where the run or the baseline knows it: what the rounding of both sides
  of a whole network may come to (docs/error-budget.md).
"""

from __future__ import annotations

import math

import ml_dtypes
from msgspec.structs import replace

from parity.artifacts import numpy_dtype
from parity.records.measurements import Check
from parity.records.plan import BaselineFigure, BaselinePlan, SuitePlan
from parity.records.results import GROWTH, CaseResult, Growth, OutputResult, Problem

LAST_PLACES = 8.0
ABOVE_NOISE = 3.0


def held_against(case: CaseResult, baseline: BaselinePlan | None) -> CaseResult:
    """The case with the growth of each output; where growth is to fail, with its verdicts."""
    if baseline is None or not case.outputs:
        return case
    known = baseline.figures.get(case.id, {})
    outputs = tuple(_held(output, known.get(output.name), baseline) for output in case.outputs)
    failed = any(output.status == "failed" for output in outputs)
    status = "failed" if failed and case.problem is None else case.status
    return replace(case, outputs=outputs, status=status)


def no_comparison(plan: SuitePlan, cases: list[CaseResult]) -> Problem | None:
    """Why growth, which is to fail, could not be judged at all: the baseline is of something else."""
    found = [output.growth.state for case in cases for output in case.outputs if output.growth]
    if plan.baseline is None or not plan.baseline.fail or not found or set(found) != {"new"}:
        return None
    return Problem(
        kind="specification",
        message=f"the baseline {plan.baseline.file!r} knows no output of these devices and inputs",
        at=plan.at("baseline"),
        fix="write it anew with --write-baseline",
    )


def within_rounding(output: OutputResult, noise_floor: float | None = None) -> float:
    """The greatest error of an output that rounding alone may come to; 0 for one without rounding."""
    measured = output.measurement
    dtypes = {output.dtype, output.reference_dtype or output.dtype}  # the coarser of two decides
    units = [_last_place(dtype, measured.reference_max_abs) for dtype in dtypes] if measured else []
    own = output.tolerance.noise_floor if output.tolerance else None
    noise = [ABOVE_NOISE * floor for floor in (own, noise_floor) if floor is not None]
    return max([*units, *noise, 0.0])


def _held(output: OutputResult, figure: BaselineFigure | None, baseline: BaselinePlan) -> OutputResult:
    growth = _growth(output, figure, baseline.max_growth)
    held = replace(output, growth=growth)
    if growth.state != "grown" or not baseline.fail or growth.before is None or output.max_abs is None:
        return held
    check = Check(
        criterion=GROWTH,
        limit=f"{baseline.max_growth:g} x {growth.before:.3g}",
        measured=f"{output.max_abs:.3g}",
        passed=False,
        factor=None if growth.factor is None else growth.factor / baseline.max_growth,
    )
    factors = [entry.factor for entry in (*output.checks, check)]
    finite = [factor for factor in factors if factor is not None]
    return replace(
        held,
        status="failed",
        checks=(*output.checks, check),
        factor=max(finite) if len(finite) == len(factors) else None,
    )


def _growth(output: OutputResult, figure: BaselineFigure | None, allowed: float) -> Growth:
    if figure is None:
        return Growth(state="new")
    before, now = figure.max_abs, output.max_abs
    if output.measurement is None or now is None:
        return Growth(state="unmeasured", before=before)
    factor = now / before if before > 0 and math.isfinite(now / before) else None
    if now <= allowed * before:
        return Growth(state="kept", before=before, factor=factor)
    within = now <= within_rounding(output, figure.noise_floor)
    return Growth(state="rounding" if within else "grown", before=before, factor=factor)


def _last_place(dtype: str, greatest: float) -> float:
    """`LAST_PLACES` units in the last place of a dtype at `greatest`."""
    if dtype in ("string", "bool"):
        return 0.0
    if "int" in dtype:
        return 1.0
    kind = ml_dtypes.finfo(numpy_dtype(dtype))  # type: ignore[no-untyped-call]
    return LAST_PLACES * float(kind.eps) * greatest
