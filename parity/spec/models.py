"""The part of the schema about the reference and the candidate."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from parity.records.jobs import Exporter
from parity.spec.fields import Axis, Config, FreeMapping, SpecModel, Symbol, Target, Text, TextFor
from parity.spec.tolerances import Tolerances, ToleranceSpec


class ModelSpec(SpecModel):
    """The reference: how the PyTorch module is built and where its weights are."""

    loader: Literal["python"] = Field(
        "python",
        description="How the module is built. `python`: a callable that returns it.",
        examples=["python"],
    )
    target: Target = Field(
        description="The callable that returns a torch.nn.Module: file.py:callable or "
        "package.module:callable.",
        examples=["model.py:build"],
    )
    config: Config | None = Field(
        None,
        description="Handed to the target as `config=`: the path of a file, or a mapping in place.",
        examples=["configs/pillar.yaml", {"channels": 64}],
    )
    args: FreeMapping = Field(
        default_factory=dict,
        description="Further keyword arguments of the target.",
        examples=[{"num_classes": 5}],
    )
    checkpoint: Text | None = Field(
        None,
        description="Weights, loaded strictly: .pth, .pt, .ckpt (weights only) or .safetensors.",
        examples=["work/best.pth"],
    )
    checkpoint_key: Text | None = Field(
        None,
        description="Where in the checkpoint the state dict is; found by itself for the usual layouts.",
        examples=["state_dict"],
    )


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
    tolerances: Tolerances = Field(
        default_factory=lambda: {"*": ToleranceSpec()},
        description="Pattern of this component's outputs -> tolerance.",
        examples=[{"*": {"atol": 1.0e-4}}],
    )
