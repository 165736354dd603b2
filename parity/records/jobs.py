"""What the host asks of a worker. A worker serves one side (reference or candidate) of one suite.

The order of a reference worker's life: `LoadReference`, `MaterializeSet` or `MaterializeProvider`,
`RunReference` of each case, `ExportOnnx` after the first of them, `MeasureLatency`, `MeasureNoise` where a
tolerance needs it.
A candidate worker's: `StartCandidate`, `OpenSession` of each component, `RunCandidate`, `MeasureLatency`.
All paths are absolute. A suite without components has one, named `model`, and no pipeline.
"""

from __future__ import annotations

from typing import Any, Literal

from .tensors import InputSet, Record, TensorRecord

MODEL = "model"  # the component of a suite that declares none
PIPELINE = "pipeline"  # the subject of the chain's own outputs

Exporter = Literal["torchscript", "dynamo"]
Variant = Literal["compile", "autocast-bfloat16", "autocast-float16"]
"""How PyTorch runs a module other than as it is."""
Optimization = Literal["disable_all", "basic", "extended", "layout", "all"]


class ModelJob(Record):
    """How the reference module is built: `parity.worker.loaders` has one module for each loader."""

    loader: str
    target: str
    config: str | dict[str, Any] | None = None  # a file's absolute path, or the mapping itself
    args: dict[str, Any] = {}
    checkpoint: str | None = None
    checkpoint_key: str | None = None


class ExportJob(Record):
    """How the ONNX file is made. None: the exporter's own default."""

    exporter: Exporter
    opset: int | None = None
    constant_folding: bool | None = None
    dynamic_shapes: dict[str, dict[int, str]] = {}  # input name -> axis -> name of the dimension


class ComponentJob(Record):
    """One PyTorch module and the ONNX file that stands for it."""

    name: str
    model: ModelJob | None  # None where no comparison of the suite has torch
    onnx: str
    export: ExportJob | None = None
    outputs: dict[str, str] = {}  # ONNX output -> path in the PyTorch result; empty: by order
    cast_inputs: bool = False  # floats are rounded to the dtype that the file declares


class Numerics(Record):
    """Single settings of both sides; None leaves the framework's own default alone.

    `parity.worker.numerics` applies those of PyTorch, the ONNX Runtime backend the rest.
    """

    grad: bool | None = None
    cudnn_benchmark: bool | None = None
    cudnn_deterministic: bool | None = None
    deterministic_algorithms: bool | None = None
    tf32: bool | None = None  # both sides: matmul and cuDNN in PyTorch, `use_tf32` in ONNX Runtime
    reduced_precision_reduction: bool | None = None
    optimization: Optimization | None = None
    arena_extend_strategy: Literal["kNextPowerOfTwo", "kSameAsRequested"] | None = None
    cudnn_conv_algo_search: Literal["EXHAUSTIVE", "HEURISTIC", "DEFAULT"] | None = None
    do_copy_in_default_stream: bool | None = None
    deterministic_compute: bool | None = None  # ONNX Runtime's session option
    constant_folding: bool | None = None  # of an export that the gate makes


class OnnxRuntimeOptions(Record):
    """The specification's `onnxruntime:` mapping; each wins over `Numerics`."""

    provider: str | None = None  # OpenVINOExecutionProvider; None: the device's own
    optimization: Optimization | None = None
    provider_options: dict[str, str] = {}
    session_config: dict[str, str] = {}
    custom_ops: tuple[str, ...] = ()  # libraries, or package.module:callable that gives the path of one


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


class Distribution(Record):
    """One generated tensor; `shape` is concrete here, the symbolic dimensions already bound."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    distribution: Literal["normal", "uniform", "integers", "constant", "zeros", "ones"]
    mean: float = 0.0
    std: float = 1.0
    low: float = 0.0  # uniform: [low, high); integers: low <= value < high
    high: float = 1.0
    value: float = 0.0  # constant
    sparsity: float = 0.0  # share of elements set to zero


class GeneratedInputs(Record, tag="generated"):
    tensors: tuple[Distribution, ...]
    seed: tuple[int, ...]  # entropy for numpy.random.SeedSequence; each tensor spawns from it by name


class FileInputs(Record, tag="files"):
    path: str  # .npz .npy .pt .pb


class MaterializeSet(Record, tag="materialize-set"):
    id: str
    source: GeneratedInputs | FileInputs
    directory: str


class MaterializeProvider(Record, tag="materialize-provider"):
    """All input sets that a user's callable yields; they are named by their position: 0, 1, ..."""

    target: str
    samples: int | None  # take so many; None: until it ends
    directory: str


class ExportOnnx(Record, tag="export-onnx"):
    """Exports one component with the inputs of its first recorded call as the example."""

    component: str
    case: str


class RunReference(Record, tag="run-reference"):
    case: str
    inputs: InputSet
    directory: str


class StageCall(Record):
    """One call of a component: what went in and what came out, in order."""

    component: str
    index: int  # 0 for the first call of this component in this case
    inputs: tuple[TensorRecord, ...]
    outputs: tuple[TensorRecord, ...]

    @property
    def subject(self) -> str:
        """Names the call in a case's id: ``voxel_encoder``, ``voxel_encoder#2`` for the second."""
        return self.component if self.index == 0 else f"{self.component}#{self.index + 1}"


class Diagnose(Record, tag="diagnose"):
    """Asks the reference's worker for the error budget of one component call that ran before.

    `reference` and `candidate` are paired by position with `outputs`, the names of the ONNX outputs;
    `repeated` is the candidate's second run on the same inputs, or why there is none. `passed` are the
    outputs within their tolerance: these are looked into only where a leg stands out from the noise.
    """

    component: str
    call: StageCall
    outputs: tuple[str, ...]
    reference: tuple[TensorRecord, ...]
    candidate: tuple[TensorRecord, ...]
    repeated: tuple[TensorRecord, ...] | str
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
    """Each component alone on the reference's own inputs (`calls`), then the chain, if there is one."""

    case: str
    inputs: InputSet
    calls: tuple[StageCall, ...]
    directory: str


class MeasureLatency(Record, tag="measure-latency"):
    """Times a case whole: the chain where there is one, else the model.

    It stops early once `budget_s` seconds have been timed, but not before the third run.
    """

    case: str
    inputs: InputSet
    warmup: int
    runs: int
    budget_s: float = 1.0


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
