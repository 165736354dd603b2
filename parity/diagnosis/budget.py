"""The error budget of one output: how large each leg of its difference is, and which one stands out.

`parity.records.diagnosis.Budget` has the legs. Nothing runs here: it is all about arrays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from parity.artifacts import Array
from parity.records.diagnosis import Budget, Diagnosis, Leg

Result = Array | str
"""What one side gave for the output, or why it gave nothing."""

_Legs = Mapping[Leg, "Difference"]

_LIMIT = float(np.finfo(np.float32).max)
_BLOCK = 1 << 20  # elements that are held in float64 at a time
_STANDS_OUT = 3.0  # times the next leg
_EXPLAINS = 0.5  # of the total
_ALONE = (0.8, 1.25)  # times the total: how near a leg is that explains it beside unknown ones
_UNREPEATABLE = 2 / 3  # of a leg: what two runs of its side differ by


@dataclass(frozen=True)
class Results:
    """What every evaluation gave for one output.

    Args:
        reference: PyTorch, as the user runs it.
        candidate: ONNX Runtime, as the user runs it.
        reference64: the module in float64.
        candidate64: the graph in float64.
        reference_again: a second run of the reference on the same inputs.
        candidate_again: a second run of the candidate on the same inputs.
        strict: the reference under strict numerics; None where the reference is under these already.
    """

    reference: Array
    candidate: Array
    reference64: Result
    candidate64: Result
    reference_again: Result
    candidate_again: Result
    strict: Result | None


@dataclass(frozen=True)
class Difference:
    """How two results differ.

    Args:
        greatest: greatest absolute difference of the elements that have one.
        reason: why it says nothing about the whole; empty where it does.
        disagreeing: elements that are NaN or infinite without meeting their equal; all, of two shapes.
    """

    greatest: float = 0.0
    reason: str = ""
    disagreeing: int = 0

    @property
    def known(self) -> float | None:
        """The greatest difference, None where it does not stand for all elements."""
        return None if self.reason else self.greatest


def diagnose(results: Results) -> Diagnosis:
    """The budget, and the leg that explains the total.

    Legs are greatest absolute differences in float64. Numbers beyond float32's range are taken for its
    greatest, since a mask of ``finfo.min`` may overflow on one side only. A leg between two sides that don't
    agree on an element that is NaN or infinite is unknown. `total` is of the elements that can be compared.

    The dominant leg is at least three times the next one and at least half of the total. With an unknown leg
    beside it, it must also explain the total alone: be within 0.8 and 1.25 times it. A leg gives way to
    repeatability when two runs of a side differ by two thirds of it: were it the other side, that side's own
    leg would hardly be three times smaller. For an unknown leg of a side, repeatability stands in when it is
    half of the total and three times every known leg. When the reference and the candidate don't agree on
    what is NaN or infinite, or on the shape, it is the only leg whose sides don't agree, if all others are
    known.

    Raises:
        ArithmeticError: the legs are all known and their sum is less than the total, which can't be.
    """
    total = difference(results.reference, results.candidate)
    legs: dict[Leg, Difference] = {
        "reference": difference(results.reference, results.reference64),
        "export": difference(results.reference64, results.candidate64),
        "runtime": difference(results.candidate64, results.candidate),
    }
    _check_sum(total, legs)
    repeatability = _larger(
        difference(results.reference, results.reference_again),
        difference(results.candidate, results.candidate_again),
    )
    strict = results.strict
    noise = legs["reference"] if strict is None else difference(strict, results.reference64)
    named = {
        "reference_rounding": legs["reference"],
        "export_error": legs["export"],
        "runtime_error": legs["runtime"],
        "repeatability": repeatability,
        "noise_floor": noise,
    }
    leg, dominance = _dominant(total, legs, repeatability)
    return Diagnosis(
        budget=Budget(
            total=None if results.reference.shape != results.candidate.shape else total.greatest,
            **{name: found.known for name, found in named.items()},
            unknown={name: found.reason for name, found in named.items() if found.reason},
        ),
        dominant_leg=leg,
        dominance=dominance,
    )


def difference(one: Result, other: Result) -> Difference:
    """How two results differ; unknown, with the reason, where either is missing or they can't be compared."""
    if isinstance(one, str) or isinstance(other, str):
        reasons = [result for result in (one, other) if isinstance(result, str)]
        return Difference(reason="; ".join(dict.fromkeys(reasons)))
    if one.shape != other.shape:
        shapes = f"{list(one.shape)} and {list(other.shape)}"
        reason = f"the two evaluations gave different shapes: {shapes}"
        return Difference(reason=reason, disagreeing=max(one.size, other.size, 1))
    if {one.dtype.kind, other.dtype.kind} & set("USO"):
        return Difference(float(np.any(one != other)), "strings have no difference")
    greatest, disagreeing = 0.0, 0
    flat, flat_other = one.reshape(-1), other.reshape(-1)
    for start in range(0, flat.size, _BLOCK):
        block = slice(start, start + _BLOCK)
        found, unmet = _differ(flat[block], flat_other[block])
        greatest, disagreeing = max(greatest, found), disagreeing + unmet
    if not disagreeing:
        return Difference(greatest)
    unequal = f"{disagreeing} of {flat.size} elements are NaN or infinite in one of two evaluations"
    return Difference(greatest, f"{unequal} without meeting their equal", disagreeing)


def _differ(one: Array, other: Array) -> tuple[float, int]:
    """Greatest absolute difference of two flat blocks, and how many elements disagree on what is finite."""
    is_complex = "c" in (one.dtype.kind, other.dtype.kind)
    wide, wide_other = _wide(one, is_complex), _wide(other, is_complex)
    cut, cut_other = np.clip(wide, -_LIMIT, _LIMIT), np.clip(wide_other, -_LIMIT, _LIMIT)
    infinite = np.isinf(wide) | np.isinf(wide_other)
    unmet = (np.isnan(wide) != np.isnan(wide_other)) | (infinite & (cut != cut_other))
    errors = np.abs(cut - cut_other)
    errors[unmet | np.isnan(wide)] = 0.0
    if is_complex:
        errors, unmet = np.hypot(errors[::2], errors[1::2]), unmet[::2] | unmet[1::2]
    if one.dtype.kind in "iu" and other.dtype.kind in "iu":  # float64 can't hold every 64-bit integer
        errors[(errors == 0.0) & (one != other)] = 1.0
    return float(errors.max(initial=0.0)), int(unmet.sum())


def _wide(block: Array, is_complex: bool) -> npt.NDArray[np.float64]:
    """In float64; complex numbers as real and imaginary part in turn."""
    dtype: type[Any] = np.complex128 if is_complex else np.float64
    wide: npt.NDArray[np.float64] = block.astype(dtype).view(np.float64)
    return wide


def _larger(one: Difference, other: Difference) -> Difference:
    """The larger of two; unknown when either is."""
    unknown = [found for found in (one, other) if found.reason]
    return unknown[0] if unknown else max(one, other, key=lambda found: found.greatest)


def _check_sum(total: Difference, legs: _Legs) -> None:
    if any(leg.reason for leg in legs.values()):
        return
    most = sum(leg.greatest for leg in legs.values())
    if not total.greatest <= most * (1 + 1e-9):
        raise ArithmeticError(f"the legs add up to {most}, the total is {total.greatest}")


def _dominant(total: Difference, legs: _Legs, repeatability: Difference) -> tuple[Leg | None, float | None]:
    """See `diagnose`; and how many times the next largest leg it is, None without one above zero."""
    unknown = {leg for leg, found in legs.items() if found.reason}
    if total.disagreeing:
        return (unknown.pop(), None) if len(unknown) == 1 and _disagrees(legs, unknown) else (None, None)
    if total.reason or not total.greatest > 0.0:
        return None, None
    sizes: dict[Leg, float] = {leg: found.greatest for leg, found in legs.items() if not found.reason}
    again = repeatability.known or 0.0
    if unknown & {"reference", "runtime"}:
        sizes["repeatability"] = again
    leg = max(sizes, key=lambda name: sizes[name])
    largest, following = sizes[leg], max((sizes[name] for name in sizes if name != leg), default=0.0)
    explains = largest >= _EXPLAINS * total.greatest
    if unknown and leg != "repeatability":
        explains = _ALONE[0] * total.greatest <= largest <= _ALONE[1] * total.greatest
    if not (explains and largest >= _STANDS_OUT * following):
        return None, None
    if leg in ("reference", "runtime") and again >= _UNREPEATABLE * largest:
        leg = "repeatability"
    return leg, (largest / following if following > 0.0 else None)


def _disagrees(legs: _Legs, unknown: set[Leg]) -> bool:
    return all(legs[leg].disagreeing for leg in unknown)
