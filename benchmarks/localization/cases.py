"""What there is to do and what came of it: records that travel as JSON lines."""

from __future__ import annotations

from typing import Literal

import msgspec

from parity.records.diagnosis import Diagnosis
from parity.records.jobs import Exporter

SoundVariant = Literal["clean", "other-inputs", "range-255", "simplified", "anonymous"]
SOUND: dict[SoundVariant, str] = {
    "clean": "the file as exported; diagnosed as if its tolerance were too tight",
    "other-inputs": "the same on further inputs",
    "range-255": "inputs from 0 to 255, which are noisy",
    "simplified": "rewritten by ONNX Runtime's basic graph optimizations",
    "anonymous": "without names of nodes, doc strings and metadata",
}
EXPORTERS: tuple[Exporter, ...] = ("torchscript", "dynamo")

Status = Literal["done", "inapplicable", "refused", "failed", "crashed", "timed-out"]
"""`refused`: ONNX Runtime does not run the altered file, so that the gate fails without a diagnosis."""


class Combination(msgspec.Struct, frozen=True):
    """What one worker process is for."""

    subject: str
    exporter: Exporter

    @property
    def title(self) -> str:
        return f"{self.subject}/{self.exporter}"


class Case(msgspec.Struct, frozen=True):
    """One planted fault, or one sound file. `name` is the fault's or the sound variant's."""

    combination: Combination
    kind: Literal["fault", "sound"]
    name: str
    seed: int

    @property
    def id(self) -> str:
        return f"{self.combination.title}/{self.kind}/{self.name}/{self.seed}"


class Planting(msgspec.Struct, frozen=True):
    """What was planted: see `parity.diagnosis.faults.Planted`. `near` are the neighbours of `accepted`."""

    cause_kind: str
    node: str
    op_type: str
    message: str
    accepted: tuple[str, ...]
    near: tuple[str, ...]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a case.

    Args:
        problem: why it is not done.
        diagnoses: by the ONNX output's name.
        nonfinite: elements that are NaN or infinite in the candidate alone, by output.
        seconds: of the diagnosis, as the product reports them.
        peak_bytes: resident memory of the process while it diagnosed.
    """

    case: Case
    status: Status
    problem: str = ""
    planted: Planting | None = None
    diagnoses: dict[str, Diagnosis] = {}
    nonfinite: dict[str, int] = {}
    seconds: float = 0.0
    peak_bytes: int = 0


class Started(msgspec.Struct, frozen=True, tag="started"):
    """A worker says what it turns to; should it die, this case was it."""

    case: Case


class Finished(msgspec.Struct, frozen=True, tag="finished"):
    """A worker says what came of it."""

    outcome: Outcome


Message = Started | Finished


def plan(
    subjects: dict[str, bool], exporters: tuple[Exporter, ...], faults: tuple[str, ...], seeds: int
) -> dict[Combination, list[Case]]:
    """All cases by combination; whether a fault applies, the worker finds out.

    Args:
        subjects: networks by name, and whether faults are planted in them.
        exporters: that make the files.
        faults: by name.
        seeds: how many sites of each fault are tried, and how many further inputs sound files get.
    """
    planned = {}
    for subject, planted in subjects.items():
        for exporter in exporters:
            combination = Combination(subject, exporter)
            sound = [Case(combination, "sound", name, 0) for name in SOUND]
            sound += [Case(combination, "sound", "other-inputs", 1 + seed) for seed in range(seeds)]
            altered = [Case(combination, "fault", name, seed) for seed in range(seeds) for name in faults]
            planned[combination] = sound + (altered if planted else [])
    return planned
