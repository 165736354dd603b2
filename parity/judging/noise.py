"""Tolerances in multiples of the noise floor: the limit that they come to, or why they come to none."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from parity.records.measurements import Check, Measurement, Tolerance

from .criteria import noise_limit

Floors = Mapping[str, float | str] | str
"""Noise floor by the name of the reference's tensor, or why it has none; a reason alone is for all."""

NOT_MEASURED = "it was not asked for"


def with_floor(tolerance: Tolerance, floors: Floors, name: str) -> tuple[Tolerance, str]:
    """The tolerance with the noise floor of its output, and why it lacks the one it needs, or nothing."""
    if tolerance.noise_factor is None:
        return tolerance, ""
    floor = floors if isinstance(floors, str) else floors.get(name, NOT_MEASURED)
    if isinstance(floor, str):
        return tolerance, f"its noise floor can't be measured: {floor} (give it an atol, not a noise_factor)"
    known = replace(tolerance, noise_floor=floor)
    if noise_limit(known) is None:
        return tolerance, f"{tolerance.noise_factor:g} x its noise floor of {floor:g} is no limit"
    return known, ""


def says_nothing(tolerance: Tolerance, measured: Measurement, checks: tuple[Check, ...]) -> str:
    """Why a multiple of the noise that is met judges nothing; empty where it does, or another criterion.

    Noise as large as the output is no longer rounding of it: float32 decides something else than float64,
    such as the order of two scores, or the output is nothing but what rounding has left of zero.
    """
    limit = noise_limit(tolerance)
    alone = not any(check.criterion not in ("noise", "non-finite") for check in checks)
    if limit is None or not alone or limit == 0.0 or limit < measured.reference_max_abs:
        return ""
    return (
        f"{tolerance.noise_factor:g} x noise = {limit:.3g} would let zeros pass: "
        f"no element of the reference is beyond {measured.reference_max_abs:.3g} (give it an atol too)"
    )
