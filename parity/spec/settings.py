"""The part of the schema about how both sides run."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from parity.records.jobs import Optimization
from parity.records.plan import DEFAULT_GROWTH
from parity.spec.fields import AnyTexts, ByteSize, Option, SpecModel, SwitchOrFolder, Text

Preset = Literal["strict", "default"]


class NumericsSpec(SpecModel):
    """Settings of both frameworks: a preset, and single settings that win over it."""

    preset: Preset = Field(
        "strict", description="`strict` for comparable arithmetic, `default` to leave the frameworks alone.",
        examples=["strict"],
    )  # fmt: skip
    grad: bool | None = Field(None, description="torch.set_grad_enabled.", examples=[False])
    cudnn_benchmark: bool | None = Field(
        None, description="torch.backends.cudnn.benchmark.", examples=[False]
    )
    cudnn_deterministic: bool | None = Field(
        None, description="torch.backends.cudnn.deterministic.", examples=[True]
    )
    deterministic_algorithms: bool | None = Field(
        None,
        description="torch.use_deterministic_algorithms; an operation that has none warns and runs.",
        examples=[True],
    )
    tf32: bool | None = Field(
        None,
        description="TF32 in matmul and cuDNN of PyTorch, and `use_tf32` of ONNX Runtime.",
        examples=[False],
    )
    reduced_precision_reduction: bool | None = Field(
        None,
        description="Whether PyTorch's float16 and bfloat16 matmuls may accumulate in less than float32.",
        examples=[False],
    )
    optimization: Optimization | None = Field(
        None, description="Graph optimization of ONNX Runtime.", examples=["disable_all"]
    )
    arena_extend_strategy: Literal["kNextPowerOfTwo", "kSameAsRequested"] | None = Field(
        None, description="Option of ONNX Runtime's CUDA provider.", examples=["kNextPowerOfTwo"]
    )
    cudnn_conv_algo_search: Literal["EXHAUSTIVE", "HEURISTIC", "DEFAULT"] | None = Field(
        None, description="Option of ONNX Runtime's CUDA provider.", examples=["HEURISTIC"]
    )
    do_copy_in_default_stream: bool | None = Field(
        None, description="Option of ONNX Runtime's CUDA provider.", examples=[True]
    )
    deterministic_compute: bool | None = Field(
        None, description="Session option `use_deterministic_compute` of ONNX Runtime.", examples=[True]
    )
    constant_folding: bool | None = Field(
        None, description="Of an export that the gate makes and that does not say.", examples=[False]
    )


class OnnxRuntimeSpec(SpecModel):
    """Options of ONNX Runtime itself; each wins over `numerics`."""

    optimization: Optimization | None = Field(
        None, description="Graph optimization level.", examples=["disable_all"]
    )
    provider_options: dict[Text, Option] = Field(
        default_factory=dict,
        description="Options of the execution provider of each device.",
        examples=[{"cudnn_conv_use_max_workspace": "1"}],
    )
    session_config: dict[Text, Option] = Field(
        default_factory=dict,
        description="Configuration entries of the session.",
        examples=[{"session.intra_op.allow_spinning": "0"}],
    )
    custom_ops: AnyTexts = Field(
        (),
        description="Libraries of custom operators: files, or package.module:callable that returns the path "
        "of one.",
        examples=[["build/libops.so", "onnxruntime_extensions:get_library_path"]],
    )
    save_optimized: SwitchOrFolder = Field(
        False,
        description="Keep each graph as ONNX Runtime has optimized it: `true` in the report directory, or "
        "a folder.",
        examples=[True, "build/optimized"],
    )


class LimitsSpec(SpecModel):
    """What a worker process may take; beyond it the case could not be judged."""

    timeout: Annotated[float, Field(gt=0)] = Field(
        600, description="Seconds for each load, export and run.", examples=[600]
    )
    memory: ByteSize | None = Field(
        None,
        description="Resident memory of one worker with its children; no limit otherwise.",
        examples=["8GiB"],
    )
    repro: ByteSize = Field(
        2**30,
        description="Tensors of a failed component's worst case, up to which they are saved beside the "
        "reports, to be run again.",
        examples=["1GiB"],
    )


Ratio = Annotated[float, Field(gt=0)]


class PerformanceSpec(SpecModel):
    """How latency and memory are measured, and how many times the reference's the candidate may take."""

    runs: Annotated[int, Field(ge=0, le=10_000)] = Field(
        5,
        description="Timed runs of each side; 0 measures no latency. 15 by default where there is a limit.",
        examples=[5],
    )
    warmup: Annotated[int, Field(ge=0, le=10_000)] = Field(
        1, description="Runs before them that are not timed.", examples=[1]
    )
    max_latency_ratio: Ratio | None = Field(
        None,
        description="The candidate's latency over the reference's; beyond it the gate fails.",
        examples=[1.5],
    )
    max_memory_ratio: Ratio | None = Field(
        None,
        description="The candidate's peak memory over the reference's; beyond it the gate fails.",
        examples=[2.0],
    )


class BaselineSpec(SpecModel):
    """The errors of an earlier run, which the errors of this one are held against."""

    path: Text = Field(
        description="What `parity run --write-baseline` wrote, or the `results.json` of an earlier run.",
        examples=["parity-baseline.json"],
    )
    max_growth: Annotated[float, Field(gt=1)] = Field(
        DEFAULT_GROWTH,
        description="An output's greatest error may be so many times that of the baseline.",
        examples=[10],
    )
    fail: bool = Field(
        False,
        description="Whether more growth than that fails the output; otherwise it is reported.",
        examples=[True],
    )
