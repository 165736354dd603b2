"""The part of the schema about inputs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from parity.records.inputs import DistributionName
from parity.spec.fields import Extent, Quantity, Sizes, SpecModel, Symbol, Target, Text, Texts
from parity.spec.images import ImagesSpec

Dtype = Literal[
    "float16", "bfloat16", "float32", "float64",
    "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz",
    "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool",
]  # fmt: skip


class LengthsSpec(SpecModel):
    """How many elements of a row a mask keeps: from `min` to `max`, both included."""

    min: Extent = Field(
        1, description="The least number of ones in a row, or the name of one of `dims`.", examples=[1]
    )
    max: Extent | None = Field(
        None, description="The greatest; the whole row otherwise.", examples=[128, "seq"]
    )


class PaddingSpec(SpecModel):
    """What a tensor has where a mask is zero."""

    mask: Text = Field(
        description="The name of a tensor of the distribution mask; its axes are the first ones of this one.",
        examples=["attention_mask"],
    )
    value: float = Field(0.0, description="What stands there.", examples=[0])


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
        description="What the values are drawn from, see below. normal for floats and integers for bool "
        "otherwise.",
        examples=["normal", "uniform"],
    )
    mean: float | None = Field(None, description="normal: the mean; 0 otherwise.", examples=[0])
    std: Annotated[float, Field(gt=0)] | None = Field(
        None, description="normal: the standard deviation; 1 otherwise.", examples=[1]
    )
    low: Quantity | None = Field(
        None,
        description="uniform, integers, boxes: the least value; arange: the first; 0 otherwise. It, `high` "
        "and `value` may be the name of one of `dims`.",
        examples=[0],
    )
    high: Quantity | None = Field(
        None,
        description="uniform, integers, boxes: what all values are below; offsets: the greatest. 1 otherwise "
        "for uniform and boxes, no default for the others.",
        examples=[255, "nodes"],
    )
    value: Quantity | None = Field(None, description="constant: the value.", examples=[0.5, "n"])
    values: Annotated[tuple[float, ...], Field(min_length=1)] | None = Field(
        None, description="choice: the values to choose from.", examples=[[0, 1, 4]]
    )
    lengths: LengthsSpec | None = Field(
        None, description="mask: how many ones a row has; any number from 1 otherwise.", examples=[{"min": 4}]
    )
    pad: Literal["right", "left"] | None = Field(
        None, description="mask: the side of the zeros; right otherwise.", examples=["left"]
    )
    of: Text | None = Field(
        None, description="positions, lengths: the mask that they follow.", examples=["attention_mask"]
    )
    sparsity: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None, description="The share of the elements that is set to zero.", examples=[0.9]
    )
    sorted: bool | None = Field(
        None, description="normal, uniform, integers, choice: ascending along the last axis.", examples=[True]
    )
    unique: bool | None = Field(
        None, description="integers, choice: no value twice along the last axis.", examples=[True]
    )
    padding: PaddingSpec | None = Field(
        None,
        description="What stands where a mask is zero.",
        examples=[{"mask": "attention_mask", "value": 0}],
    )


class InputsSpec(SpecModel):
    """Where the input sets come from: exactly one of `tensors`, `files`, `images` and `provider`.

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
        description="Recorded inputs: a file or pattern, or a list of them (.npz .npy .pt .pb), or folders "
        "with input_0.pb, ... The keys are names of ONNX inputs. Each is an input set.",
        examples=["samples/*.npz"],
    )
    images: ImagesSpec | None = Field(
        None,
        description="Image files, each an input set.",
        examples=[{"files": "images/*.jpg", "input": "x", "size": [480, 640]}],
    )
    provider: Target | None = Field(
        None,
        description="A callable that yields {input name: tensor}; each is an input set.",
        examples=["data.py:samples"],
    )
