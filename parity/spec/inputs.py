"""The part of the schema about inputs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from parity.spec.fields import Extent, Sizes, SpecModel, Symbol, Target, Text, Texts

Dtype = Literal[
    "float16", "bfloat16", "float32", "float64",
    "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz",
    "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool",
]  # fmt: skip
DistributionName = Literal["normal", "uniform", "integers", "constant", "zeros", "ones"]


class TensorSpec(SpecModel):
    """One generated input. Which of the numbers apply depends on the distribution."""

    shape: tuple[Extent, ...] = Field(
        description="Sizes, and names of `dims`; [] for a scalar.", examples=[["batch", 64, 128, 128]]
    )
    dtype: Dtype = Field(
        "float32", description="The dtype that the ONNX input declares.", examples=["float32"]
    )
    distribution: DistributionName | None = Field(
        None,
        description="What the values are drawn from: normal (the default of floats), uniform, integers (the "
        "default of bool), constant, zeros or ones.",
        examples=["normal", "uniform"],
    )
    mean: float | None = Field(None, description="normal: the mean; 0 otherwise.", examples=[0])
    std: Annotated[float, Field(gt=0)] | None = Field(
        None, description="normal: the standard deviation; 1 otherwise.", examples=[1]
    )
    low: float | None = Field(
        None, description="uniform, integers: the least value; 0 otherwise.", examples=[0]
    )
    high: float | None = Field(
        None,
        description="uniform, integers: what all values are below; 1 otherwise for uniform, no default "
        "for integers.",
        examples=[255],
    )
    value: float | None = Field(None, description="constant: the value.", examples=[0.5])
    sparsity: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None, description="The share of the elements that is set to zero.", examples=[0.9]
    )


class InputsSpec(SpecModel):
    """Where the input sets come from: exactly one of `tensors`, `files` and `provider`.

    Each set is made once, and both sides read the same bytes.
    """

    seed: Annotated[int, Field(ge=0, le=2**63 - 1)] = Field(
        0, description="tensors: what the random numbers start from.", examples=[0]
    )
    samples: Annotated[int, Field(ge=1)] | None = Field(
        None,
        description="tensors: how many times each combination of dims is drawn, 1 otherwise. provider: how "
        "many sets are taken from it, all otherwise.",
        examples=[4],
    )
    dims: dict[Symbol, Sizes] = Field(
        default_factory=dict,
        description="tensors: named dimension -> size or sizes; each combination is an input set.",
        examples=[{"batch": [1, 4], "n": 20000}],
    )
    tensors: Annotated[dict[Text, TensorSpec], Field(min_length=1)] | None = Field(
        None,
        description="Generated inputs: name of the ONNX input -> how it is drawn.",
        examples=[{"x": {"shape": ["batch", 3, 224, 224]}}],
    )
    files: Texts | None = Field(
        None,
        description="Recorded inputs: a file or pattern, or a list of them (.npz .npy .pt .pb). The keys are "
        "names of ONNX inputs. Each file is an input set.",
        examples=["samples/*.npz"],
    )
    provider: Target | None = Field(
        None,
        description="A callable that yields {input name: tensor}; each is an input set.",
        examples=["data.py:samples"],
    )
