"""The error budget in words: size and share of each leg, the one that stands out, what is unknown.

A share is a leg's part of the sum of the three legs that make up a difference. Legs are greatest absolute
values, which may lie at different elements and cancel, so it is no part of the difference itself. Where one
of the three is unknown, so is their sum, and nothing has a share. Repeatability is no term of the sum: what
does not repeat is in the other legs too. docs/error-budget.md tells this to the reader of a report.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from parity.records.diagnosis import Budget, Diagnosis
from parity.records.results import OutputResult

from . import figures, noise
from .selection import OutputRow

UNKNOWN = "unknown"
NO_LEG = "no leg"  # stands out
MEANING = {
    "export": "export error: the ONNX graph computes something else than the reference",
    "reference": "reference rounding: the reference's own arithmetic",
    "runtime": "runtime error: ONNX Runtime's kernels or graph optimizers",
    "repeatability": "not repeatable: two runs of one side on the same inputs differ",
    NO_LEG: "no leg stands out",
    UNKNOWN: "unknown: too little of the budget could be measured",
}

# Field of the budget -> its name in a report; the first three add up to the difference.
_NAMES = {
    "reference_rounding": "reference rounding",
    "export_error": "export",
    "runtime_error": "runtime",
    "repeatability": "repeatability",
    "noise_floor": "noise floor",
}
_TERMS = tuple(_NAMES)[:3]
_BLOCKS = 8  # characters of a whole bar
_CLEARLY = 2.0  # times another figure: less is not worth a word
_HARDLY = 0.1  # of the legs' sum


@dataclass(frozen=True)
class LegFigure:
    """A leg that was measured; `part` and `share` are of the three legs' sum, None and empty without one."""

    name: str
    size: float
    part: float | None = None
    share: str = ""

    @property
    def bar(self) -> str:
        """The share in blocks, eight for all; none for less than half a block."""
        return "▇" * round(_BLOCKS * (self.part or 0.0))

    def __str__(self) -> str:
        return f"{figures.number(self.size)} ({self.share})" if self.share else figures.number(self.size)


def legs(budget: Budget) -> list[LegFigure]:
    """The legs that were measured, the greatest first."""
    known = _known_terms(budget)
    whole = sum(known.values())
    shared = len(known) == len(_TERMS) and min(known.values()) >= 0 and 0 < whole < float("inf")
    found = []
    for field, size in known.items():
        rest = sum(other for term, other in known.items() if term != field)
        share = (size / whole, figures.percent(size, rest)) if shared else (None, "")
        found.append(LegFigure(_NAMES[field], size, *share))
    if budget.repeatability is not None:
        found.append(LegFigure("repeatability", budget.repeatability))
    return sorted(found, key=lambda leg: -leg.size)


def line(budget: Budget, *, zeros: bool = True) -> str:
    """``export 0.147 (99.9 %) ▇▇▇▇▇▇▇▇  reference rounding 1.13e-4  runtime 2.01e-5  repeatability 0``.

    Without `zeros`, legs that are 0 are left out beside others.
    """
    measured = [leg for leg in legs(budget) if zeros or leg.size] or legs(budget)
    said = [f"{leg.name} {leg} {leg.bar}".rstrip() for leg in measured[:1]]
    return "  ".join([*said, *(f"{leg.name} {figures.number(leg.size)}" for leg in measured[1:])])


def facts(output: OutputResult) -> list[tuple[str, str]]:
    """The budget of an output and what follows from it, (name, text); nothing where it was not diagnosed."""
    if output.diagnosis is None:
        return []
    return [("budget", line(output.diagnosis.budget)), *conclusions(output, output.diagnosis)]


def conclusions(output: OutputResult, diagnosis: Diagnosis) -> list[tuple[str, str]]:
    """The leg that stands out, the difference against noise, what is unknown and why."""
    step = output.diagnosed_step
    return [
        ("budget of", f"step {step} alone, on the reference's own state" if step else ""),
        ("mostly", sentence(diagnosis)),
        ("noise", noise.against(output, diagnosis.budget)),
        *(("unknown", text) for text in _unknown(diagnosis.budget)),
    ]


def row_facts(row: OutputRow) -> list[tuple[str, str]]:
    """`facts` of the budget that stands for a row, and whose it is if not the worst result's."""
    legs = line(row.explained.diagnosis.budget) if row.explained else ""
    return [("budget", legs), *row_conclusions(row)]


def row_conclusions(row: OutputRow) -> list[tuple[str, str]]:
    """`row_facts` without the figures of the legs."""
    found = row.explained
    if found is None:
        return []
    whose = f"input set {found.case.input_set}" if found.output is not row.worst else ""
    return [*conclusions(found.output, found.diagnosis), ("budget of", whose)]


def mostly(diagnosis: Diagnosis) -> str:
    """The leg that stands out, in a word of `MEANING`."""
    return diagnosis.dominant_leg or (UNKNOWN if _missing(diagnosis.budget) else NO_LEG)


def sentence(diagnosis: Diagnosis) -> str:
    """The leg that stands out and what it means; where it can be one of several, which ones."""
    budget, word = diagnosis.budget, mostly(diagnosis)
    strict, own = budget.noise_floor, budget.reference_rounding
    if word == "reference" and strict and own and own > _CLEARLY * strict:
        return f"{MEANING[word]}, {figures.times(own, strict)} what strict numerics leave of it"
    if word == UNKNOWN and (rest := _rest(budget)) > (budget.total or 0.0) / _CLEARLY:
        names, both = _joined(_missing(budget), "or"), len(_missing(budget)) > 1
        return f"{names}, at least {figures.number(rest)}{' together' if both else ''}"
    if word == NO_LEG and any(leg.name == "export" and (leg.part or 0.0) < _HARDLY for leg in legs(budget)):
        return f"{MEANING[word]}: both sides' arithmetic, hardly any export error"
    return MEANING[word]


def _known_terms(budget: Budget) -> dict[str, float]:
    sizes = {field: getattr(budget, field) for field in _TERMS}
    return {field: size for field, size in sizes.items() if size is not None}


def _missing(budget: Budget) -> list[str]:
    """Names of the terms of the sum that are unknown."""
    return [_NAMES[field] for field in _TERMS if getattr(budget, field) is None]


def _rest(budget: Budget) -> float:
    """What the unknown terms come to together, at least; 0 where no term is known: that would say nothing.

    The triangle inequality: total <= sum of the known + the unknown.
    """
    known = _known_terms(budget).values()
    return budget.total - sum(known) if known and budget.total is not None else 0.0


def _unknown(budget: Budget) -> Iterator[str]:
    """``export and runtime: node 'nms' can't be evaluated``, one for each reason."""
    names: dict[str, list[str]] = {}
    for field, name in _NAMES.items():
        if getattr(budget, field) is None:
            names.setdefault(budget.unknown.get(field) or "no reason is given", []).append(name)
    for reason, of_reason in names.items():
        yield f"{_joined(of_reason, 'and')}: {reason}"


def _joined(names: list[str], word: str) -> str:
    *others, last = names
    return f"{', '.join(others)} {word} {last}" if others else last
