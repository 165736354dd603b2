"""Differences and tolerances against the noise floor: what the reference's own rounding comes to.

A tolerance far above it lets faults pass, one below it fails a sound model.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from parity.records.diagnosis import Budget
from parity.records.measurements import Tolerance
from parity.records.results import OutputResult, Report

from . import figures, wording
from .selection import OutputRow, listed

TOO_LOOSE = 100  # times the noise floor: a tolerance beyond it is remarked upon
TOO_MANY = 1000  # the same for a multiple that somebody chose
TOO_FEW = 2  # the candidate's own rounding is about as large as the reference's, and the two add up

_FLOATS = ("float64", "float32", "float16", "bfloat16")


def against(output: OutputResult, budget: Budget) -> str:
    """``1,300 x the float32 noise floor of 1.13e-4``; empty where either is unknown."""
    floor = budget.noise_floor
    if floor is None or budget.total is None:
        return ""
    if not floor > 0:
        return "the noise floor is 0: rounding explains no difference here"
    return f"{figures.times(budget.total, floor)} the {_dtype(output)}noise floor of {figures.number(floor)}"


def tolerance_notes(report: Report, rows: Iterable[OutputRow]) -> list[tuple[str, str]]:
    """Tolerances out of proportion to the noise, (outputs, what to know): one for each rule that is.

    An output's noise floor is the greatest of its input sets that were diagnosed.
    """
    rows = list(rows)
    found: dict[tuple[str, str, str, bool], list[_Judged]] = {}
    for judged in _judged(report, rows):
        if judged.loose or judged.tight:
            key = (judged.place, judged.bound, judged.dtype, judged.loose)
            found.setdefault(key, []).append(judged)
    return [*(_note(of_rule) for of_rule in found.values()), *_multiples(report, rows)]


def _multiples(report: Report, rows: Iterable[OutputRow]) -> Iterator[tuple[str, str]]:
    """Multiples of the noise that are too few or too many, one note for each rule with one."""
    found: dict[tuple[str, float], list[OutputRow]] = {}
    for row in rows:
        stated = row.worst.tolerance
        if stated is None or stated.noise_factor is None:
            continue
        if stated.noise_factor < TOO_FEW or (stated.noise_factor > TOO_MANY and _noise_alone(stated)):
            place = wording.tolerance_place(stated, wording.spec_file(report, row.pair.suite))
            found.setdefault((place, stated.noise_factor), []).append(row)
    for (place, multiple), of_rule in found.items():
        outputs = listed((wording.label(row.subject, row.name) for row in of_rule), most=3)
        said = f"{figures.limit(multiple)} x noise"
        if multiple < TOO_FEW:
            yield outputs, f"{said} is no room for the rounding of both sides: it will flake ({place})"
            continue
        floors = [stated.noise_floor or 0.0 for row in of_rule if (stated := row.worst.tolerance)]
        least = f"{'at least ' if len(of_rule) > 1 else ''}{figures.number(multiple * min(floors))}"
        yield outputs, f"{said} is {least}: a fault of that size would pass ({place})"


@dataclass(frozen=True)
class _Judged:
    """The tolerance of one output beside its noise floor."""

    label: str
    place: str  # where the specification states the tolerance
    bound: str  # as it states it
    dtype: str
    atol: float
    largest: float  # the bound of the reference's greatest element
    floor: float
    strict: bool  # no element may be beyond the bound

    @property
    def loose(self) -> bool:
        return self.atol > TOO_LOOSE * self.floor

    @property
    def tight(self) -> bool:
        return self.strict and self.largest < self.floor


def _judged(report: Report, rows: Iterable[OutputRow]) -> Iterator[_Judged]:
    """The outputs whose tolerance is atol and rtol alone: what others catch, noise can't tell."""
    for row in rows:
        floors = [(entry.diagnosis.budget.noise_floor or 0.0, entry.output) for entry in row.diagnosed]
        floor, output = max(floors, key=lambda entry: entry[0], default=(0.0, row.worst))
        stated, measured = output.tolerance, output.measurement
        if not floor > 0 or stated is None or measured is None or not _elementwise_alone(stated):
            continue
        atol = stated.atol or 0.0
        yield _Judged(
            label=wording.label(row.subject, row.name),
            place=wording.tolerance_place(stated, wording.spec_file(report, row.pair.suite)),
            bound=figures.tolerance(stated),
            dtype=_dtype(output),
            atol=atol,
            largest=atol + (stated.rtol or 0.0) * measured.reference_max_abs,
            floor=floor,
            strict=not stated.mismatch,
        )


def _note(alike: list[_Judged]) -> tuple[str, str]:
    """What to know of outputs under one rule, with the figure of the least bad of them."""
    one, several = alike[0], len(alike) > 1
    outputs = listed((judged.label for judged in alike), most=3)
    if one.loose:
        least = figures.times(one.atol, max(judged.floor for judged in alike))
        said = (
            f"atol {figures.limit(one.atol)} is {'at least ' if several else ''}{least} the {one.dtype}noise"
        )
        return outputs, f"{said}: a fault of that size would pass ({one.place})"
    floor = f"{'at least ' if several else ''}{figures.number(min(judged.floor for judged in alike))}"
    return outputs, f"{one.bound} is below the {one.dtype}noise floor of {floor}: it will flake ({one.place})"


def _elementwise_alone(stated: Tolerance) -> bool:
    given = (stated.atol, stated.rtol) != (None, None)
    return given and stated.noise_factor is None and not _aggregate(stated) and not stated.exact


def _noise_alone(stated: Tolerance) -> bool:
    return (stated.atol, stated.rtol) == (None, None) and not _aggregate(stated)


def _aggregate(stated: Tolerance) -> bool:
    """Whether it has a criterion about all elements at once."""
    others = (stated.max_abs, stated.mean_abs, stated.rms, stated.cosine, stated.snr_db, stated.ulp)
    return others != (None,) * 6 or bool(stated.quantile)


def _dtype(output: OutputResult) -> str:
    """``float32 ``; nothing for an output without a float's rounding of its own.

    Nor for a reference that is coarser than the candidate: under autocast it is the plain module's floor.
    """
    dtype = output.reference_dtype or output.dtype  # the floor is the reference's
    if dtype != output.dtype and dtype in ("float16", "bfloat16"):
        return ""
    return f"{dtype} " if dtype in _FLOATS else ""
