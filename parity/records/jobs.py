"""What the host asks of a worker. A worker serves one side (reference or candidate) of one suite.

The order of a reference worker's life: `LoadReference`, `MaterializeSet` or `MaterializeProvider`,
`RunReference` of each case, `ExportOnnx` after the first of them, `MeasureLatency`, `MeasureNoise` where a
tolerance needs it.
A candidate worker's: `StartCandidate`, `OpenSession` of each component, `RunCandidate`, `MeasureLatency`.
All paths are absolute. A suite without components has one, named `model`, and no pipeline.
"""

from __future__ import annotations

from typing import Any, Literal

from .loops import LoopJob
from .matching import MatchGroup
from .tensors import InputSet, Record, TensorRecord

MODEL = "model"  # the component of a suite that declares none
PIPELINE = "pipeline"  # the subject of the chain's own outputs
SAVED = "saved-outputs"  # the loader of a reference that is outputs on disk, and no module

Exporter = Literal["torchscript", "dynamo"]
Variant = Literal["compile", "autocast-bfloat16", "autocast-float16"]
"""How PyTorch runs a module other than as it is."""
Optimization = Literal["disable_all", "basic", "extended", "layout", "all"]


class ModelJob(Record):
    """How the reference module is built: `parity.worker.loaders` has one module for each loader."""

    loader: str
    target: str | None = None  # what it names is the loader's to say
    config: str | dict[str, Any] | None = None  # a file's or folder's absolute path, or the mapping itself
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
    loop: LoopJob | None = None
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


DistributionName = Literal[
    "normal", "uniform", "integers", "constant", "zeros", "ones",
    "mask", "positions", "lengths", "arange", "permutation", "one_hot", "offsets", "choice", "boxes",
]  # fmt: skip


class Padding(Record):
    """What a tensor has where a mask, whose axes are its first ones, is zero."""

    mask: str  # the name of a tensor of the distribution `mask`
    value: float


class Distribution(Record):
    """One generated tensor; `shape` is concrete here, the symbolic dimensions already bound."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    distribution: DistributionName
    mean: float = 0.0
    std: float = 1.0
    low: float = 0.0  # uniform: [low, high); integers: low <= value < high; arange: the first
    high: float = 1.0  # offsets: the greatest
    value: float = 0.0  # constant
    values: tuple[float, ...] = ()  # choice
    min_length: int = 1  # mask: of the ones in a row
    max_length: int | None = None  # None: the whole row
    pad: Literal["right", "left"] = "right"
    of: str = ""  # positions, lengths: the mask that they follow
    sparsity: float = 0.0  # share of elements set to zero
    sorted: bool = False  # ascending along the last axis
    unique: bool = False  # no value twice along the last axis
    padding: Padding | None = None


class GeneratedInputs(Record, tag="generated"):
    tensors: tuple[Distribution, ...]
    seed: tuple[int, ...]  # entropy for numpy.random.SeedSequence; each tensor spawns from it by name


class FileInputs(Record, tag="files"):
    path: str  # .npz .npy .pt .pb, or the folder of a data set


class ImageInputs(Record, tag="image"):
    """One image file; `parity.worker.inputs.images` says in which order it is prepared."""

    path: str
    input: str
    size: tuple[int, int] | None  # height, width
    fit: Literal["stretch", "crop", "pad"]
    resample: Literal["nearest", "box", "bilinear", "bicubic", "lanczos"]
    fill: int
    color: Literal["RGB", "BGR", "gray"]
    layout: Literal["NCHW", "NHWC", "CHW", "HWC"]
    dtype: str
    scale: float
    mean: tuple[float, ...]  # empty: 0
    std: tuple[float, ...]  # empty: 1


InputSource = GeneratedInputs | FileInputs | ImageInputs


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


class StageCall(Record):
    """One call of a component: what went in and what came out, in order. Each step of a loop is a call."""

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
