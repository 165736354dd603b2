"""What a specification asks for, resolved: absolute paths, concrete shapes, one rule for each pattern.

`parity.planning` makes these from the parsed specification; execution and judging read them.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Literal

from .inputs import InputSource
from .jobs import MODEL, PIPELINE, SAVED, ComponentJob, Numerics
from .measurements import Tolerance
from .placement import PlacementRule
from .sides import Comparison
from .tensors import Record


class PlannedSet(Record):
    """One input set: its id is stable, and safe as the name of a folder."""

    id: str
    source: InputSource


class ProviderPlan(Record):
    """Input sets that only the user's callable knows; `parity.execution` finds out how many there are."""

    target: str
    samples: int | None


class Limits(Record):
    """For each request to a worker: a load, an export, a run."""

    timeout_s: float
    memory_bytes: int | None  # resident memory of a worker with its children; None: no limit
    repro_bytes: int = 2**30  # tensors of a failed case that are saved beside the reports


class LatencyPlan(Record):
    """`runs` = 0 measures no latency. Ratios are the candidate's over the reference's; None: no limit."""

    warmup: int
    runs: int
    max_latency_ratio: float | None = None
    max_memory_ratio: float | None = None

    @property
    def is_judged(self) -> bool:
        """Whether there is a limit."""
        return (self.max_latency_ratio, self.max_memory_ratio) != (None, None)


SAVE_IN_REPORTS = ""  # as a folder: that of the reports, which a specification does not know
DiagnoseWhen = Literal["on-failure", "always", "never"]


DEFAULT_GROWTH = 10.0  # room for what other kernels and processors do to a rounding error


class BaselineFigure(Record):
    """One output of one case in an earlier run."""

    max_abs: float  # greatest absolute error
    noise_floor: float | None = None  # None: nobody measured it


class BaselinePlan(Record):
    """What errors are held against.

    `figures` has case id -> output -> figure; it is empty until `parity.baselines` has read the file.
    """

    file: str  # as the user wrote it
    path: str  # absolute
    max_growth: float
    fail: bool
    figures: dict[str, dict[str, BaselineFigure]] = {}


class SuitePlan(Record):
    """One specification file. `spec_file` is as the user wrote it, `base_dir` is its absolute folder.

    `tolerances` has the rules of each subject: `model` for a suite without components, else each
    component's name and `pipeline`. `places` has the line and column of the keys that a worker's error
    may be about: ``inputs``, ``onnx``, ``model.checkpoint``, ``components.NAME.onnx``, ...
    """

    name: str
    spec_file: str
    base_dir: str
    components: tuple[ComponentJob, ...]
    pipeline: str | None
    comparisons: tuple[Comparison, ...]
    inputs: tuple[PlannedSet, ...] | ProviderPlan
    numerics_name: str  # strict, default, or "strict with tf32=true"
    numerics: Numerics
    tolerances: dict[str, tuple[Tolerance, ...]]
    limits: Limits
    latency: LatencyPlan
    places: dict[str, tuple[int, int]]
    diagnose: DiagnoseWhen = "on-failure"
    baseline: BaselinePlan | None = None
    placement: PlacementRule = "warn"
    save_optimized: str | None = None  # folder for the graphs that ONNX Runtime runs; None: they are not kept

    @property
    def saved(self) -> bool:
        """Whether the reference is outputs on disk: no module is there to time or to evaluate."""
        return any(one.model is not None and one.model.loader == SAVED for one in self.components)

    @property
    def subjects(self) -> tuple[str, ...]:
        """Names of what is judged in each case, in the order of the report."""
        if self.pipeline is None:
            return (MODEL,)
        return (*(component.name for component in self.components), PIPELINE)

    def at(self, key: str) -> str:
        """The place of a key as ``file:line:column``; of the nearest parent when the key is not there."""
        while key and key not in self.places:
            key = key.rpartition(".")[0]
        line, column = self.places.get(key, (1, 1))
        return f"{self.spec_file}:{line}:{column}"


def case_id(suite: str, label: str, input_set: str, subject: str) -> str:
    """The stable name of one case of a comparison; it holds no measured value."""
    return f"{suite}/{label}/{input_set}/{subject}"


def selects(pattern: str, case: str) -> bool:
    """Whether ``--case`` takes a case: by its very id, whatever that holds, or as a glob."""
    return case == pattern or fnmatchcase(case, pattern)


def selects_one(pattern: str) -> bool:
    """Whether a pattern of ``--case`` can only be the id of one case."""
    return not set(pattern) & set("*?[")
