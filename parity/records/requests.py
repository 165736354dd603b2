"""What the host asks of a worker. A worker serves one side (reference or candidate) of one suite.

The order of a reference worker's life: `LoadReference`, `MaterializeSet` or `MaterializeProvider`,
`RunReference` of each case, `ExportOnnx` after the first of them, `MeasureLatency`, `MeasureNoise` where a
tolerance needs it.
A candidate worker's: `StartCandidate`, `OpenSession` of each component, `RunCandidate`, `MeasureLatency`.
All paths are absolute.
"""

from __future__ import annotations

from .inputs import InputSource
from .jobs import ComponentJob, Numerics, OnnxRuntimeOptions, Variant
from .matching import MatchGroup
from .tensors import InputSet, Record, StageCall, TensorRecord


class LoadReference(Record, tag="load-reference"):
    components: tuple[ComponentJob, ...]
    pipeline: str | None  # file.py:callable, package.module:callable
    device: str  # cpu, cuda:0
    numerics: Numerics
    base_dir: str  # the specification's folder: relative Python targets and imports start there
    variant: Variant | None = None


class LoadOnnxReference(Record, tag="load-onnx-reference"):
    """An ONNX reference: its worker answers the other requests of a reference too, but for `ExportOnnx`."""

    components: tuple[ComponentJob, ...]
    pipeline: str | None
    device: str
    numerics: Numerics
    options: OnnxRuntimeOptions
    base_dir: str
    candidates: dict[str, str] = {}  # component -> the candidate's ONNX file, which a diagnosis reads


class MaterializeSet(Record, tag="materialize-set"):
    id: str
    source: InputSource
    directory: str


class MaterializeProvider(Record, tag="materialize-provider"):
    """The next input set that a user's callable yields; it is named by its position: 0, 1, ...

    They are asked for in this order, one at a time, so that there may be any number. The answer holds no set
    when the callable has ended.
    """

    target: str
    samples: int | None  # take so many; None: until it ends
    index: int
    directory: str | None  # of this set; None: it is not wanted, and taken for the sake of the next


class ExportOnnx(Record, tag="export-onnx"):
    """Exports one component with the inputs of its first recorded call as the example."""

    component: str
    case: str


class RunReference(Record, tag="run-reference"):
    case: str
    inputs: InputSet
    directory: str


class Diagnose(Record, tag="diagnose"):
    """Asks the reference's worker for the error budget of one component call that ran before.

    `reference` and `candidate` are paired by position with `outputs`, the names of the ONNX outputs;
    `repeated` is the candidate's second run on the same inputs, or why there is none. `matching` has the
    groups of outputs that are matched, each whole. `passed` are the outputs within their tolerance: these
    are looked into only where a leg stands out from the noise.
    """

    component: str
    call: StageCall
    outputs: tuple[str, ...]
    reference: tuple[TensorRecord, ...]
    candidate: tuple[TensorRecord, ...]
    repeated: tuple[TensorRecord, ...] | str
    matching: tuple[MatchGroup, ...] = ()
    passed: tuple[str, ...] = ()


class MeasureNoise(Record, tag="measure-noise"):
    """Asks the reference's worker for the noise floors of what ran before: a component's call, or the chain.

    `inputs` and `outputs` are what the reference was given and gave.
    """

    component: str | None  # None: the chain
    inputs: tuple[TensorRecord, ...]
    outputs: tuple[TensorRecord, ...]


class DiagnoseRuntime(Record, tag="diagnose-runtime"):
    """Asks the candidate's worker why its runtime is less exact than the file on one component call.

    `candidate` is what it gave for `outputs`, the names of the ONNX outputs, in that order.
    """

    component: str
    call: StageCall
    outputs: tuple[str, ...]
    candidate: tuple[TensorRecord, ...]


class StartCandidate(Record, tag="start-candidate"):
    components: tuple[ComponentJob, ...]
    pipeline: str | None
    device: str
    numerics: Numerics
    options: OnnxRuntimeOptions
    base_dir: str
    save_optimized: str | None = None  # folder for the graphs that sessions run; None: they are not kept


class OpenSession(Record, tag="open-session"):
    component: str


class RunCandidate(Record, tag="run-candidate"):
    """Each component alone on the reference's own inputs (`calls`), then the chain, if there is one.

    A loop, all steps of which are there, also runs freely: each step on the candidate's own state.
    """

    case: str
    inputs: InputSet
    calls: tuple[StageCall, ...]
    directory: str


class MeasureLatency(Record, tag="measure-latency"):
    """Times a case whole: the chain where there is one, else the model, of a loop all its steps.

    A case is timed in several requests, so that both sides take turns; what the first has prepared is kept
    for those that follow it at once. A loop without a pipeline takes the inputs of the reference's `calls`.
    """

    case: str
    inputs: InputSet
    warmup: int
    runs: int
    calls: tuple[StageCall, ...] = ()


ReferenceRequest = (
    LoadReference
    | LoadOnnxReference
    | MaterializeSet
    | MaterializeProvider
    | RunReference
    | ExportOnnx
    | Diagnose
    | MeasureNoise
    | MeasureLatency
)
CandidateRequest = StartCandidate | OpenSession | RunCandidate | DiagnoseRuntime | MeasureLatency
Request = ReferenceRequest | CandidateRequest
