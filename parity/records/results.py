"""The report: what `results.json` holds, and all that any reporter needs.

Every number is finite: what is not a number is counted in `Measurement.nonfinite`, and an infinite
factor is None with a `problem` or a failed check beside it.
"""

from __future__ import annotations

from typing import Literal

from .diagnosis import Cause, Diagnosis, ModuleErrors
from .outcomes import Setting
from .placement import Placement
from .tensors import Record, TensorRecord

SCHEMA_VERSION = 1

Status = Literal["passed", "failed", "error", "skipped"]


class Tolerance(Record):
    """The tolerance of one output as it was applied: defaults filled in. None: not asked for."""

    pattern: str  # as the specification has it
    line: int | None = None  # its line in the specification
    column: int | None = None
    atol: float | None = None
    rtol: float | None = None
    max_abs: float | None = None
    mean_abs: float | None = None
    rms: float | None = None
    cosine: float | None = None
    snr_db: float | None = None
    ulp: float | None = None
    quantile: dict[str, float] = {}  # "0.999" -> greatest absolute error of that share
    mismatch: float | None = None  # share of elements that may exceed atol + rtol * |reference|
    noise_factor: float | None = None  # greatest absolute error in multiples of the noise floor
    noise_floor: float | None = None  # of this output on these inputs; None: not asked for, or not measured
    exact: bool | None = None
    equal_nan: bool = False
    dtype: Literal["same", "any"] = "same"  # any: two float dtypes are compared by value


class Element(Record):
    """One element that stands out. Values are text, so that NaN, strings and 64-bit integers survive."""

    index: tuple[int, ...]
    reference: str
    candidate: str
    abs_error: float | None  # None where it is not a finite number


class Nonfinite(Record):
    """Elements that are no finite number, and those of them that do not meet their equal."""

    reference_nan: int = 0
    candidate_nan: int = 0
    reference_inf: int = 0
    candidate_inf: int = 0
    mismatched: int = 0


class Measurement(Record):
    """How two tensors of one shape and dtype differ.

    Errors are candidate minus reference in a type that holds any difference; the statistics are over the
    elements that are finite on both sides.
    """

    elements: int
    compared: int  # elements finite on both sides
    max_abs: float
    mean_abs: float
    rms: float
    cosine: float | None  # None: one side is all zeros
    snr_db: float | None  # None: no error at all or, where there is one, a reference of zeros
    mismatched: int  # elements beyond atol + rtol * |reference|, or non-finite and unequal
    bound_factor: float | None  # largest |error| / (atol + rtol * |reference|); None: infinite
    largest: Element | None  # the greatest absolute error; None for an empty tensor
    worst: Element | None  # the greatest factor beyond the bound; a non-finite mismatch first
    nonfinite: Nonfinite = Nonfinite()
    reference_max_abs: float = 0.0
    ulp: float | None = None  # greatest distance in units in the last place; only when asked for
    quantile: dict[str, float] = {}  # absolute errors, as asked for


class Check(Record):
    """One criterion of a tolerance. `factor` is how far beyond it is: above 1 has failed."""

    criterion: str  # "atol + rtol", "cosine", ...
    limit: str
    measured: str
    passed: bool
    factor: float | None  # None: infinite


class OutputResult(Record):
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


class Problem(Record):
    """Why a case, or a whole suite, could not be judged."""

    kind: str  # specification, model, onnx, input, device, placement, user-code, crash, timeout, ...
    message: str
    at: str = ""
    fix: str = ""
    detail: str = ""  # tail of stderr, or a traceback
    causes: tuple[Cause, ...] = ()  # where one is known: tensors on another device


class SidePerformance(Record):
    """One side of one case: `latency_ms` is the median of `runs` after `warmup`, None: not timed."""

    latency_ms: float | None = None
    runs: int = 0
    warmup: int = 0
    peak_rss_bytes: int | None = None
    peak_device_bytes: int | None = None


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
    modules: tuple[ModuleErrors, ...] = ()  # of the component, where the error was followed through it


class SideSettings(Record):
    side: str  # torch@cpu
    device_name: str
    settings: dict[str, Setting]
    versions: dict[str, str]
    notes: tuple[str, ...] = ()
    placements: tuple[Placement, ...] = ()  # of each ONNX Runtime session


class SuiteResult(Record):
    """What holds for all cases of one specification file."""

    name: str
    spec_file: str  # as given on the command line
    numerics: str
    sides: tuple[SideSettings, ...] = ()
    exports: dict[str, dict[str, Setting]] = {}  # component -> how the gate exported it
    problem: Problem | None = None
    duration_s: float = 0.0


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
