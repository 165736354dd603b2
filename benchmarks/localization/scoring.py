"""Outcomes -> what was found and who was wrongly blamed. Pure.

Every condition is written so that an unknown figure counts against us: an effect that is not known is taken
for one beyond all bounds, a leg that is not known has detected nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf

from parity.records.diagnosis import Budget, Diagnosis

from .cases import Case, Outcome

DETECTED = 3.0  # times the noise floor: what makes an export error more than rounding
FELT = 10.0  # times the noise floor: the effect of the faults that the bars are about
BARS = {"detected": 1.0, "node": 0.95, "cause": 0.90}


@dataclass(frozen=True)
class FaultScore:
    """One fault after its diagnosis, judged by its worst output.

    Args:
        effect: difference of that output in multiples of its noise floor; inf where either is unknown or
            the candidate has NaN or infinities of its own.
        located: whether the file ran, so that there was something to locate.
        said: what was said in place of what was expected; empty where all is right.
    """

    case: Case
    effect: float
    detected: bool
    located: bool
    exact: bool
    near: bool
    cause: bool
    said: str


def effect(budget: Budget, nonfinite: int) -> float:
    """The difference in multiples of the noise floor. Without noise (integers) any is beyond all."""
    if nonfinite or budget.noise_floor is None or budget.total is None:
        return inf
    if budget.noise_floor == 0:
        return inf if budget.total != 0 else 0.0
    return budget.total / budget.noise_floor


def worst_output(outcome: Outcome) -> str:
    """The output that differs most: by effect, then by NaN and infinities, then by the difference."""

    def key(name: str) -> tuple[float, int, float]:
        budget, bad = outcome.diagnoses[name].budget, outcome.nonfinite.get(name, 0)
        return effect(budget, bad), bad, inf if budget.total is None else budget.total

    return max(outcome.diagnoses, key=key)


def stands_out(budget: Budget) -> bool:
    """Whether the export error is more than rounding explains. All planted faults are of the file.

    So is one that has no size, because the exact result of the file has NaN or infinities of its own, which a
    kernel of the runtime may swallow.
    """
    if budget.export_error is None:
        return "NaN or infinite" in budget.unknown.get("export_error", "")
    return budget.noise_floor is not None and budget.export_error > DETECTED * budget.noise_floor


def score_fault(outcome: Outcome) -> FaultScore:
    """Judges the diagnosis of a planted fault; a file that ONNX Runtime refuses is only detected."""
    if outcome.status == "refused":
        return FaultScore(outcome.case, inf, True, False, False, False, False, outcome.problem)
    if outcome.status != "done" or outcome.planted is None or not outcome.diagnoses:
        said = f"{outcome.status}: {outcome.problem}"
        return FaultScore(outcome.case, inf, False, True, False, False, False, said)
    planted = outcome.planted
    name = worst_output(outcome)
    found, bad = outcome.diagnoses[name], outcome.nonfinite.get(name, 0)
    detected = any(
        stands_out(one.budget) or outcome.nonfinite.get(output, 0) > 0
        for output, one in outcome.diagnoses.items()
    )
    node = found.first_divergence.node if found.first_divergence else ""
    kind = found.causes[0].kind if found.causes else ""
    exact, cause = node in planted.accepted, kind == planted.cause_kind
    return FaultScore(
        case=outcome.case,
        effect=effect(found.budget, bad),
        detected=detected,
        located=True,
        exact=exact,
        near=node in planted.near,
        cause=cause,
        said="" if detected and exact and cause else _said(found, name),
    )


def _said(found: Diagnosis, output: str) -> str:
    place, budget = found.first_divergence, found.budget
    node = f"{place.leg} leg, {place.op_type} {place.node}" if place else "no node"
    cause = f"{found.causes[0].kind}: {found.causes[0].message}" if found.causes else "no cause"
    legs = f"{output}: export {budget.export_error}, noise {budget.noise_floor}"
    return "; ".join((node, cause, legs, *found.notes[:1]))


def alarms(outcome: Outcome) -> list[str]:
    """What a sound file was wrongly blamed for; a file that could not be judged is an alarm, too."""
    if outcome.status == "inapplicable":
        return []
    if outcome.status != "done" or not outcome.diagnoses:
        return [f"{outcome.status}: {outcome.problem}"]
    said = []
    for name, found in outcome.diagnoses.items():
        place = found.first_divergence
        if place is not None and place.leg == "export":
            said.append(f"{name}: diverges at {place.op_type} {place.node}")
        if found.causes and found.causes[0].kind != "rounding":
            said.append(f"{name}: {found.causes[0].kind}: {found.causes[0].message}")
        if stands_out(found.budget):
            said.append(
                f"{name}: export error {found.budget.export_error}, noise floor {found.budget.noise_floor}"
            )
        if outcome.nonfinite.get(name, 0):
            said.append(f"{name}: NaN or infinities in the candidate alone")
    return said


@dataclass(frozen=True)
class Shares:
    """Of some faults whose effect is beyond `FELT`; a share of none is None."""

    planted: int
    felt: int
    detected: float | None
    exact: float | None
    near: float | None
    cause: float | None


def shares(scores: Iterable[FaultScore]) -> Shares:
    """The shares that the bars are about."""
    scores = list(scores)
    felt = [score for score in scores if not score.effect <= FELT]
    located = [score for score in felt if score.located]
    return Shares(
        planted=len(scores),
        felt=len(felt),
        detected=_share([score.detected for score in felt]),
        exact=_share([score.exact for score in located]),
        near=_share([score.exact or score.near for score in located]),
        cause=_share([score.cause for score in located]),
    )


def _share(found: Sequence[bool]) -> float | None:
    return sum(found) / len(found) if found else None


@dataclass(frozen=True)
class Verdict:
    """The whole run against the bars; `missed` names those that it misses."""

    scores: tuple[FaultScore, ...]
    sound: dict[str, list[str]]  # case id -> its false alarms
    total: Shares
    missed: tuple[str, ...]


def judge(outcomes: Iterable[Outcome]) -> Verdict:
    """Holds all outcomes against the bars. A run that planted nothing, or saw no sound file, misses them."""
    outcomes = [one for one in outcomes if one.status != "inapplicable"]
    scores = tuple(score_fault(one) for one in outcomes if one.case.kind == "fault")
    sound = {one.case.id: alarms(one) for one in outcomes if one.case.kind == "sound"}
    total = shares(scores)
    found = {"detected": total.detected, "node": total.exact, "cause": total.cause}
    missed = [
        f"{name}: {'nothing to judge' if found[name] is None else f'{found[name]:.1%}'}, the bar is {bar:.0%}"
        for name, bar in BARS.items()
        if not (found[name] or 0.0) >= bar
    ]
    alarmed = sum(1 for said in sound.values() if said)
    if alarmed or not sound:
        missed.append(f"false alarms: {alarmed} of {len(sound)} sound files, the bar is 0")
    return Verdict(scores, sound, total, tuple(missed))
