"""What a worker answers, and what the host makes of a worker that does not answer.

An outcome is a union: a crash, a timeout or an error is a type of its own and can't be read as a result.
"""

from __future__ import annotations

from typing import Literal

from .diagnosis import Cause, Diagnosis, Divergence, ModuleErrors
from .placement import Placement
from .tensors import InputSet, Record, StageCall, TensorRecord, ValueInfo

Setting = str | int | float | bool | None


class Loaded(Record, tag="loaded"):
    """A side is ready. `settings` are read back from the framework, not what was asked for."""

    settings: dict[str, Setting]
    versions: dict[str, str]
    device: str  # as the framework names it: cpu, NVIDIA H200
    notes: tuple[str, ...] = ()  # what a user should know: modules that had to be put in eval mode, ...
    placements: tuple[Placement, ...] = ()  # of sessions that loading has opened: of an ONNX reference


class Materialized(Record, tag="materialized"):
    sets: tuple[InputSet, ...]


class SessionOpened(Record, tag="session-opened"):
    component: str
    inputs: tuple[ValueInfo, ...]
    outputs: tuple[ValueInfo, ...]
    settings: dict[str, Setting]  # as the session reports them
    providers: tuple[str, ...]
    script: tuple[str, ...] = ()  # Python that sets `options` and `providers` of such a session
    placement: Placement | None = None


class Exported(Record, tag="exported"):
    component: str
    path: str
    seconds: float
    settings: dict[str, Setting]


class Ran(Record, tag="ran"):
    """`calls` of components, and the chain's `outputs`; without a chain, None.

    `free` are the candidate's steps of loops on its own state, where the same of `calls` had the reference's.
    `placements` are those of sessions that ran for the first time, with what crosses between providers.
    """

    calls: tuple[StageCall, ...]
    outputs: tuple[TensorRecord, ...] | None
    seconds: float
    peak_rss_bytes: int  # of the worker process during this run
    peak_device_bytes: int | None = None  # allocated on the accelerator by PyTorch; None on the CPU
    free: tuple[StageCall, ...] = ()
    placements: tuple[Placement, ...] = ()


class Latency(Record, tag="latency"):
    """`own_bytes` is the peak of resident memory, less what the worker held before it loaded a model."""

    seconds: tuple[float, ...]  # each timed run, synchronized, without the warm-up
    warmup: int
    own_bytes: int | None = None
    device_bytes: int | None = None  # of the process on the accelerator, as its driver counts them


class Diagnosed(Record, tag="diagnosed"):
    """Why each output of one component call differs, by the ONNX output's name.

    `modules` is in the order of the forward, and empty unless the export leg was traced. `places` has the
    PyTorch module and the source line (``backbone.conv1``, ``model.py:31``) of ONNX nodes, where the runtime
    is worth a look. `odd_inputs` may matter where nothing else explains a difference.
    """

    diagnoses: dict[str, Diagnosis]
    seconds: float
    modules: tuple[ModuleErrors, ...] = ()
    places: dict[str, tuple[str, str]] = {}
    odd_inputs: tuple[Cause, ...] = ()


class NoiseFloors(Record, tag="noise-floors"):
    """Noise floor of each output by the name of the reference's record, or the reason why it has none.

    The floor is the greatest absolute difference between the reference under strict numerics and the same in
    float64, on the same inputs.
    """

    floors: dict[str, float | str]
    seconds: float


class RuntimeFinding(Record):
    """Why one output of ONNX Runtime is less exact than the file: candidate64 against candidate."""

    first_divergence: Divergence | None = None
    causes: tuple[Cause, ...] = ()  # the one with the largest share first
    notes: tuple[str, ...] = ()  # what could not be looked into, and why


class DiagnosedRuntime(Record, tag="diagnosed-runtime"):
    """What was found about each output of one component call, by the ONNX output's name."""

    findings: dict[str, RuntimeFinding]
    seconds: float


Answer = (
    Diagnosed
    | DiagnosedRuntime
    | NoiseFloors
    | Loaded
    | Materialized
    | SessionOpened
    | Exported
    | Ran
    | Latency
)

Reason = Literal["specification", "model", "onnx", "input", "device", "user-code", "tool"]


class Failed(Record, tag="failed"):
    """The worker answered with an error.

    `reason` decides the exit status: `specification` is 2, `tool` is 4, all others 3.
    """

    reason: Reason
    problem: str
    fix: str = ""
    detail: str = ""  # traceback or the library's own words
    about: str = ""  # key of the specification that is wrong, as in `SuitePlan.places`; empty: not known
    causes: tuple[Cause, ...] = ()  # tensors on another device


class Crashed(Record, tag="crashed"):
    """The process ended without an answer."""

    signal: str | None  # SIGSEGV; None for a plain exit
    exit_status: int | None
    stderr_tail: str


class TimedOut(Record, tag="timed-out"):
    limit_s: float
    stderr_tail: str


class OutOfMemory(Record, tag="out-of-memory"):
    limit_bytes: int
    reached_bytes: int
    stderr_tail: str


Unanswered = Failed | Crashed | TimedOut | OutOfMemory
Reply = Answer | Failed
