"""What the two sides are made of, and the settings that they run with.

All paths are absolute. A suite without components has one, named `model`, and no pipeline.
"""

from __future__ import annotations

from typing import Any, Literal

from .loops import LoopJob
from .tensors import Record

MODEL = "model"  # the component of a suite that declares none
PIPELINE = "pipeline"  # the subject of the chain's own outputs
SAVED = "saved-outputs"  # the loader of a reference that is outputs on disk, and no module
MEMORY_LIMIT = "PARITY_MEMORY_LIMIT"  # environment of a worker that is limited: resident bytes

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
