"""Why an output differs: the error budget. See docs/error-budget.md."""

from __future__ import annotations

from typing import Literal

from .tensors import Record

Leg = Literal["reference", "export", "runtime", "repeatability"]


class Budget(Record):
    """Where the difference of one output comes from: greatest absolute values of each leg.

        reference - candidate = (reference - reference64)      reference rounding
                              + (reference64 - candidate64)    export error
                              + (candidate64 - candidate)      runtime error

    A leg that can't be measured is None, and `unknown` has its name and the reason. Values beyond float32's
    range are compared saturated. A leg may be larger than the total: legs cancel.
    """

    total: float
    reference_rounding: float | None
    export_error: float | None
    runtime_error: float | None
    repeatability: float | None  # the larger of both sides' difference between two runs
    noise_floor: float | None  # reference rounding under strict numerics
    unknown: dict[str, str] = {}


class Diagnosis(Record):
    """Why an output differs. `dominant_leg` is None when no leg stands out or too much is unknown."""

    budget: Budget
    dominant_leg: Leg | None
    dominance: float | None = None  # how many times the next largest known leg; None: there is no other
