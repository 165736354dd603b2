"""What execution hands to judging: every outcome of every input set, nothing judged yet."""

from __future__ import annotations

from .outcomes import Exported, Latency, Loaded, NoiseFloors, Ran, SessionOpened, Unanswered
from .sides import Comparison
from .tensors import InputSet, Record


class SetRun(Record):
    """Both sides on one input set. A side that was never asked, since the other gave no answer, is None.

    `noise` has the noise floors of each subject whose tolerances are multiples of them.
    """

    id: str
    inputs: InputSet | Unanswered
    reference: Ran | Unanswered | None = None
    candidate: Ran | Unanswered | None = None
    reference_latency: Latency | Unanswered | None = None
    candidate_latency: Latency | Unanswered | None = None
    noise: dict[str, NoiseFloors | Unanswered] = {}
    seconds: float = 0.0


class ComparisonRun(Record):
    """One comparison of one suite.

    `sets` is empty when not even the input sets could be had; then `blocked` says why.
    """

    comparison: Comparison
    reference: Loaded | Unanswered
    candidate: Loaded | Unanswered
    sessions: dict[str, SessionOpened | Unanswered]
    exports: dict[str, Exported | Unanswered]
    sets: tuple[SetRun, ...]
    blocked: Unanswered | None = None
    seconds: float = 0.0
