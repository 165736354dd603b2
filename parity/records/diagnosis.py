"""Why an output differs: the error budget. See docs/error-budget.md."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from .tensors import Record

Leg = Literal["reference", "export", "runtime", "repeatability"]
Term = Literal["reference", "export", "runtime"]  # of the sum that a difference is
TERMS: tuple[Term, ...] = ("reference", "export", "runtime")
_ABOVE_NOISE = 3.0  # times the noise floor: what a sound leg may have by its own rounding
_ROUNDING = 10.0  # times the noise floor: beyond that rounding explains nothing
_A_GOOD_PART = 0.25  # of the total

CauseKind = Literal[
    "initializer",
    "attribute",
    "structure",
    "precision",
    "tf32",
    "graph-optimizer",
    "provider",
    "fallback",
    "algorithm",
    "nondeterminism",
    "train-mode",
    "device",
    "nan",
    "input",
    "rounding",
    "unknown",
]


class Budget(Record):
    """Where the difference of one output comes from: greatest absolute values of each leg.

        reference - candidate = (reference - reference64)      reference rounding
                              + (reference64 - candidate64)    export error
                              + (candidate64 - candidate)      runtime error

    A leg that can't be measured is None, and `unknown` has its name and the reason. Values beyond float32's
    range are compared saturated. A leg may be larger than the total: legs cancel.
    """

    total: float | None  # None: nothing to subtract, for the shapes differ
    reference_rounding: float | None
    export_error: float | None
    runtime_error: float | None
    repeatability: float | None  # the larger of both sides' difference between two runs
    noise_floor: float | None  # reference rounding under strict numerics
    unknown: dict[str, str] = {}

    def size(self, term: Term) -> float | None:
        """A term's size, None where it is unknown."""
        return {
            "reference": self.reference_rounding,
            "export": self.export_error,
            "runtime": self.runtime_error,
        }[term]

    @property
    def noise(self) -> float | None:
        """The noise floor, or the reference's own rounding where that could not be measured."""
        return self.reference_rounding if self.noise_floor is None else self.noise_floor


class Statistics(Record):
    """The finite elements of one tensor, in float64."""

    minimum: float
    maximum: float
    mean: float
    std: float
    nonfinite: int = 0  # elements that are left out


class Divergence(Record):
    """Where a leg starts to differ: the first node whose result is off although its inputs are right.

    `node` is the ONNX node by its name, or its first output if it has none; in the reference leg, the ATen
    operator. Errors are root mean squares in the unit of the tensor: `local_error` is what this node adds on
    right inputs, `inherited_error` what its inputs bring with them. None: not measured.
    """

    leg: Leg
    node: str
    op_type: str
    output: str = ""
    module: str = ""  # backbone.blocks.1.4
    source: str = ""  # model.py:31
    shape: tuple[int, ...] = ()
    local_error: float | None = None
    inherited_error: float | None = None
    expected: Statistics | None = None  # of the exact result
    found: Statistics | None = None  # of what this side makes of it
    effective_bits: float | None = None  # of a sum of products; float32 keeps 21 to 24


class Cause(Record):
    """Why a leg differs. `share` is the part of the excess error that the probe made vanish or reproduced."""

    kind: CauseKind
    leg: Leg
    message: str  # epsilon is 2e-3 in the file, 1e-3 in the module
    remedy: str  # one line that mends it
    share: float | None = None  # 0 to 1; None: not measured
    node: str = ""
    tensor: str = ""  # the initializer, parameter or input it is about


class ModuleErrors(Record):
    """One PyTorch module of a component: how far its result in the ONNX graph is off, in float64.

    Errors are root mean squares relative to that of the module's result. `inherited` came in with its inputs,
    `local` is what the module adds; None where the graph has no tensor that stands for its result.
    """

    module: str
    type: str  # BatchNorm2d
    source: str
    total: float | None
    inherited: float | None
    local: float | None


class Diagnosis(Record):
    """Why an output differs. `dominant_leg` is None when no leg stands out or too much is unknown."""

    budget: Budget
    dominant_leg: Leg | None
    dominance: float | None = None  # how many times the next largest known leg; None: there is no other
    first_divergence: Divergence | None = None  # of the dominant leg
    causes: tuple[Cause, ...] = ()  # the one with the largest share first
    notes: tuple[str, ...] = ()  # what could not be looked into, and why

    def is_worth_a_look(self, term: Term, *, passed: bool = False) -> bool:
        """Whether a leg is dominant, stands out from the noise, or is a good part where none is dominant.

        What is no more than noise matters to no verdict where the output passed: only what stands out does.
        """
        size, noise, total = self.budget.size(term), self.budget.noise, self.budget.total
        if passed and size is not None and noise is not None:
            return size > _ABOVE_NOISE * noise
        if self.dominant_leg is not None and self.dominant_leg == term:
            return True
        if size is None or not size > 0.0:
            return False
        if noise is not None and size > _ABOVE_NOISE * noise:
            return True
        return self.dominant_leg is None and total is not None and size > _A_GOOD_PART * total

    @property
    def is_honest_reference(self) -> bool:
        """Whether the reference rounds no more than under strict numerics, nor much more than the candidate.

        Two programs that compute the same with kernels of their own and round alike lost no more than their
        type costs. That tells nothing of rounding that both do on purpose, as autocast has it.
        """
        rounding, runtime = self.budget.reference_rounding, self.budget.runtime_error
        noise = self.budget.noise_floor
        if rounding is None or runtime is None or noise is None:
            return False
        return rounding <= _ABOVE_NOISE * noise and rounding <= _ROUNDING * runtime

    def ranked(self, causes: Iterable[Cause]) -> tuple[Cause, ...]:
        """Causes of the dominant leg first and rounding last; within these the largest share first."""

        def rank(cause: Cause) -> tuple[bool, bool, float]:
            elsewhere = self.dominant_leg is not None and cause.leg != self.dominant_leg
            return cause.kind == "rounding", elsewhere, -(cause.share or 0.0)

        return tuple(sorted(dict.fromkeys(causes), key=rank))

    @property
    def is_rounding(self) -> bool:
        """Whether every leg is known and within ten times the noise floor."""
        sizes, noise = [self.budget.size(term) for term in TERMS], self.budget.noise
        return noise is not None and all(size is not None and size <= _ROUNDING * noise for size in sizes)
