"""The report: what `results.json` holds, and all that any reporter needs.

Every number is finite: what is not a number is counted in `Measurement.nonfinite`, and an infinite
factor is None with a `problem` or a failed check beside it.
"""

from __future__ import annotations

from typing import Literal

from .diagnosis import Cause, Diagnosis, ModuleErrors
from .measurements import Check, Measurement, Tolerance
from .outcomes import Setting
from .placement import Placement
from .tensors import Record, TensorRecord

SCHEMA_VERSION = 1

Status = Literal["passed", "failed", "error", "skipped"]
LimitName = Literal["max_latency_ratio", "max_memory_ratio"]
Unit = Literal["ms", "bytes on the host", "bytes on the device"]


class StepResult(Record):
    """One output in one step of a loop: on the candidate's own state, and `alone` on the reference's.

    A factor is how many times the tolerance; None beside a `max_abs` of None: it could not be measured.
    """

    status: Status  # of the step on the candidate's own state
    max_abs: float | None
    factor: float | None
    alone_max_abs: float | None
    alone_factor: float | None
    alone_status: Status


GROWTH = "growth"  # the criterion of the check that growth has failed
GrowthState = Literal["grown", "kept", "rounding", "new", "unmeasured"]


class Growth(Record):
    """The greatest absolute error of an output beside that of the baseline.

    `state` is `grown` beyond what is allowed; `kept`; `rounding`, grown but no more than rounding may come
    to; `new`, not in the baseline; `unmeasured`, in the baseline but without an error now.
    """

    state: GrowthState
    before: float | None = None  # greatest absolute error in the baseline; None: it is new
    factor: float | None = None  # now / before; None: not to be said, or without bound from an exact 0


class OutputResult(Record):
    """The verdict on one output; of a loop, on its worst step, which is counted from 1."""

    name: str
    status: Status
    reference_path: str = ""
    dtype: str = ""  # of the candidate
    reference_dtype: str = ""  # where the reference's is another, and the two are compared all the same
    shape: tuple[int, ...] = ()
    max_abs: float | None = None
    factor: float | None = None  # the worst check's; None: infinite, or nothing was measured
    problem: str = ""  # why it failed or could not be judged, in one sentence
    tolerance: Tolerance | None = None
    checks: tuple[Check, ...] = ()
    measurement: Measurement | None = None
    diagnosis: Diagnosis | None = None
    step: int | None = None  # None: no loop
    steps: tuple[StepResult, ...] = ()
    diagnosed_step: int | None = None  # the one that `diagnosis` is of, alone on the reference's own state
    growth: Growth | None = None  # None: there is no baseline


class Problem(Record):
    """Why a case, or a whole suite, could not be judged."""

    kind: str  # specification, model, onnx, input, device, placement, user-code, crash, timeout, ...
    message: str
    at: str = ""
    fix: str = ""
    detail: str = ""  # tail of stderr, or a traceback
    causes: tuple[Cause, ...] = ()  # where one is known: tensors on another device


class SidePerformance(Record):
    """One side of one case: `latency_ms` is the median of `runs` after `warmup`, None: not timed.

    `own_bytes` is the peak of resident memory while it was timed, less what the process held before it loaded
    the model; `device_bytes` what the process held of the accelerator then, as the driver counts it.
    """

    latency_ms: float | None = None
    runs: int = 0
    warmup: int = 0
    peak_rss_bytes: int | None = None
    peak_device_bytes: int | None = None
    latency_min_ms: float | None = None
    latency_p90_ms: float | None = None
    own_bytes: int | None = None
    device_bytes: int | None = None


class PerformanceCheck(Record):
    """A limit on the candidate's cost in multiples of the reference's. `error`: it could not be judged.

    `ratio` is that of the medians, or of the peaks of memory; `at_least` what it is at least, noise allowed
    for. The limit is exceeded where `at_least` is above it.
    """

    limit_name: LimitName
    limit: float
    status: Status
    ratio: float | None = None
    at_least: float | None = None
    reference: float | None = None  # ms or bytes
    candidate: float | None = None
    unit: Unit = "ms"
    problem: str = ""  # why it could not be judged, or what else is to be said
    at: str = ""  # place of the limit: parity.yml:31:3


class Repro(Record):
    """What was saved of a failed case, to run it again without the gate.

    `folder` is relative to that of the reports; where it is empty, nothing was saved, and `note` says why.
    """

    folder: str = ""
    note: str = ""


class CaseResult(Record):
    id: str  # stable: suite/comparison/input set/subject
    suite: str
    subject: str  # a component's name, or "pipeline" for the chain, or "model"
    device: str  # of the candidate
    reference: str  # torch@cpu
    candidate: str  # onnxruntime@cpu
    input_set: str
    status: Status
    inputs: tuple[TensorRecord, ...] = ()
    outputs: tuple[OutputResult, ...] = ()
    problem: Problem | None = None
    reference_performance: SidePerformance = SidePerformance()
    candidate_performance: SidePerformance = SidePerformance()
    duration_s: float = 0.0
    repro: Repro | None = None  # of the worst failed case of each component
    modules: tuple[ModuleErrors, ...] = ()  # of the component, where the error was followed through it
    performance: tuple[PerformanceCheck, ...] = ()  # beside `status`, which is about the outputs


class SideSettings(Record):
    side: str  # torch@cpu
    device_name: str
    settings: dict[str, Setting]
    versions: dict[str, str]
    notes: tuple[str, ...] = ()
    placements: tuple[Placement, ...] = ()  # of each ONNX Runtime session


class WorstCase(Record):
    """The case in which an output did worst, of all input sets of a pair of sides."""

    suite: str
    reference: str
    candidate: str
    subject: str
    output: str
    status: Status
    factor: float | None  # as of the output; None: infinite, or nothing was measured
    case: str  # its id
    input_set: str


class BaselineResult(Record):
    """What the errors of a suite were held against."""

    file: str  # as given in the specification or on the command line
    max_growth: float  # times the error of the baseline
    fail: bool  # whether more than that fails the output


class SuiteResult(Record):
    """What holds for all cases of one specification file."""

    name: str
    spec_file: str  # as given on the command line
    numerics: str
    sides: tuple[SideSettings, ...] = ()
    exports: dict[str, dict[str, Setting]] = {}  # component -> how the gate exported it
    problem: Problem | None = None
    duration_s: float = 0.0
    baseline: BaselineResult | None = None


class Environment(Record):
    python: str
    platform: str
    processor: str
    cores: int
    memory_bytes: int
    versions: dict[str, str]


class Report(Record):
    schema_version: int
    tool_version: str
    started_at: str  # ISO 8601, UTC
    duration_s: float
    exit_code: int
    environment: Environment
    suites: tuple[SuiteResult, ...]
    cases: tuple[CaseResult, ...]
    worst: tuple[WorstCase, ...] = ()  # one for each output of each pair of sides, in the order of the cases
