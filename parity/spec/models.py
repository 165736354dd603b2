"""The part of the schema about the reference and the candidate."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from parity.records.jobs import SAVED, Exporter
from parity.spec import loaders
from parity.spec.fields import Axis, Config, FreeMapping, SpecModel, Symbol, Text, TextFor
from parity.spec.tolerances import Tolerances, ToleranceSpec


class ModelSpec(SpecModel):
    """The reference: how the PyTorch module is built and where its weights are."""

    loader: loaders.LoaderName = Field(
        "python",
        description="How the module is built; see the table below. An installed package may bring more.",
        examples=["python"],
    )
    target: Text | None = Field(
        None,
        description="What the loader calls, loads or takes a part of, such as file.py:callable or "
        "package.module:callable.",
        examples=["model.py:build"],
    )
    config: Config | None = Field(
        None,
        description="The loader's own kind of config: a path, or a mapping in place.",
        examples=["configs/pillar.yaml", {"channels": 64}],
    )
    args: FreeMapping = Field(
        default_factory=dict,
        description="Further keyword arguments, or settings over the config.",
        examples=[{"num_classes": 5}],
    )
    checkpoint: Text | None = Field(
        None,
        description="Weights, loaded strictly: .pth, .pt, .ckpt (weights only) or .safetensors.",
        examples=["work/best.pth"],
    )
    checkpoint_key: Text | None = Field(
        None,
        description="Where in the checkpoint the state dict is, or the prefix of its keys; found by itself "
        "for the usual layouts.",
        examples=["state_dict"],
    )

    @property
    def saved(self) -> bool:
        """Whether the reference is outputs on disk."""
        return self.loader == SAVED

    @model_validator(mode="after")
    def _is_what_the_loader_needs(self) -> Self:
        loaders.check(self)
        return self


class ExportSpec(SpecModel):
    """How the gate makes the ONNX file itself, from the reference and the first input set."""

    exporter: Exporter = Field(
        "dynamo", description="Which exporter of torch.onnx.", examples=["dynamo", "torchscript"]
    )
    opset: Annotated[int, Field(ge=7, le=99)] | None = Field(
        None, description="Opset of the ONNX operators; the exporter's own default otherwise.", examples=[18]
    )
    constant_folding: bool | None = Field(
        None,
        description="Whether the exporter folds constants. As `numerics` has it otherwise: off when strict.",
        examples=[False],
    )
    dynamic_shapes: dict[Text, dict[Axis, Symbol]] = Field(
        default_factory=dict,
        description="Input -> axis -> the name of its dynamic dimension. All other axes are fixed.",
        examples=[{"x": {0: "batch"}}],
    )


class OnnxSpec(SpecModel):
    """The candidate: an ONNX file, or how the gate exports one."""

    path: Text = Field(
        description="The ONNX file; with `export`, where it is written.", examples=["build/model.onnx"]
    )
    export: ExportSpec | None = Field(
        None,
        description="Export the file before it is judged; without it the file must be there.",
        examples=[{"exporter": "dynamo", "opset": 18}],
    )


AxisNumber = Annotated[int, Field(ge=0, le=31)]


class LoopSpec(SpecModel):
    """A model with state that is run step by step; each step's outputs become inputs of the next."""

    steps: Annotated[int, Field(ge=2, le=1_000)] = Field(
        description="How many steps; the inputs are those of the first.", examples=[8]
    )
    state: Annotated[dict[Text, Text], Field(min_length=1)] = Field(
        description="ONNX output -> the input that it is in the next step.",
        examples=[{"h_out": "h_in", "c_out": "c_in"}],
    )
    split: dict[Text, AxisNumber] = Field(
        default_factory=dict,
        description="Input -> the axis along which it is cut into `steps` equal pieces, one for each step. "
        "All other inputs are the same in every step.",
        examples=[{"x": 1}],
    )
    grow: dict[Text, AxisNumber] = Field(
        default_factory=dict,
        description="Input -> the axis along which it gets one longer with each step, such as an attention "
        "mask. The last step has it whole.",
        examples=[{"attention_mask": 1}],
    )


Onnx = Annotated[OnnxSpec, TextFor("path")]
Outputs = Annotated[dict[Text, Text], Field(min_length=1)]


class ComponentSpec(SpecModel):
    """One of several models that are judged together."""

    model: ModelSpec | None = Field(
        None,
        description="The reference. May be left out where no comparison has torch.",
        examples=[{"target": "model.py:build_encoder"}],
    )
    onnx: Onnx = Field(
        description="The candidate: the path of an ONNX file, or a mapping.",
        examples=["build/encoder.onnx"],
    )
    outputs: Outputs | None = Field(
        None,
        description="ONNX output -> path in the PyTorch result; by order otherwise.",
        examples=[{"features": "0.features"}],
    )
    loop: LoopSpec | None = Field(
        None,
        description="The component has state: each call of its stage runs it for several steps.",
        examples=[{"steps": 8, "state": {"h_out": "h_in"}}],
    )
    tolerances: Tolerances = Field(
        default_factory=lambda: {"*": ToleranceSpec()},
        description="Pattern of this component's outputs -> tolerance.",
        examples=[{"*": {"atol": 1.0e-4}}],
    )
