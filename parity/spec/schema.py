"""The types of the specification file. The JSON Schema and docs/specification.md are made from them.

`models`, `inputs`, `settings` and `tolerances` have its parts. Types hold for one value at a time; what
several keys must agree on is in `contradictions`, and whether files exist in `files`. An optional value that
is left out is None; ``key:`` with nothing after it is an error.
"""

from __future__ import annotations

from typing import Annotated, get_args

from pydantic import Field

from parity.records.placement import PlacementRule
from parity.records.plan import DiagnoseWhen
from parity.spec.comparisons import ComparisonSpec
from parity.spec.fields import Device, Name, SpecModel, Target, TextFor, Version
from parity.spec.inputs import InputsSpec
from parity.spec.models import ComponentSpec, LoopSpec, ModelSpec, Onnx, Outputs
from parity.spec.settings import (
    BaselineSpec,
    LimitsSpec,
    NumericsSpec,
    OnnxRuntimeSpec,
    PerformanceSpec,
    Preset,
)
from parity.spec.tolerances import Tolerances, ToleranceSpec


class Spec(SpecModel):
    """Specification of a parity gate: the PyTorch reference, the ONNX candidate, inputs and tolerances."""

    version: Version = Field(description="Version of this format.", examples=[1])
    name: Name | None = Field(
        None,
        description="Names the suite in every report: letters, digits, `.`, `_` and `-`. The file's name "
        "otherwise, or its folder's for parity.yml.",
        examples=["centerpoint"],
    )
    model: ModelSpec | None = Field(
        None,
        description="The reference. May be left out where no comparison has torch.",
        examples=[{"target": "model.py:build"}],
    )
    onnx: Onnx | None = Field(
        None,
        description="The candidate: the path of an ONNX file, or a mapping.",
        examples=["build/model.onnx"],
    )
    outputs: Outputs | None = Field(
        None,
        description="ONNX output -> path in the PyTorch result; by order otherwise.",
        examples=[{"heatmap": "preds.0.heatmap"}],
    )
    loop: LoopSpec | None = Field(
        None,
        description="The model has state: it is run for several steps that feed outputs back to inputs.",
        examples=[{"steps": 8, "state": {"h_out": "h_in"}}],
    )
    components: Annotated[dict[Name, ComponentSpec], Field(min_length=1)] | None = Field(
        None,
        description="Several models in one pipeline, instead of `model` and `onnx`.",
        examples=[{"encoder": {"model": {"target": "model.py:build_encoder"}, "onnx": "build/encoder.onnx"}}],
    )
    pipeline: Target | None = Field(
        None,
        description="With `components`: the callable run(stages, inputs) -> outputs that chains them.",
        examples=["pipeline.py:run"],
    )
    inputs: InputsSpec = Field(
        description="The input sets.", examples=[{"tensors": {"x": {"shape": [1, 3, 224, 224]}}}]
    )
    devices: Annotated[tuple[Device, ...], Field(min_length=1)] = Field(
        ("cpu",),
        description="Both sides run on each of these: cpu, cuda, cuda:N.",
        examples=[["cpu", "cuda:0"]],
    )
    comparisons: Annotated[tuple[ComparisonSpec, ...], Field(min_length=1)] | None = Field(
        None,
        description="Instead of `devices`: pairs of sides, each torch[+variant]@device, "
        "onnxruntime[+provider]@device, or a mapping.",
        examples=[[{"reference": "torch@cpu", "candidate": "onnxruntime@cuda:0"}]],
    )
    numerics: Annotated[NumericsSpec, TextFor("preset", get_args(Preset))] = Field(
        default_factory=NumericsSpec,
        description="strict, default, or a mapping of single settings over one of them.",
        examples=["strict", {"preset": "strict", "tf32": True}],
    )
    tolerances: Tolerances = Field(
        default_factory=lambda: {"*": ToleranceSpec()},
        description="Pattern of outputs -> tolerance; the most specific pattern wins. With `components`: of "
        "the pipeline's outputs.",
        examples=[{"*": {"atol": 1.0e-4, "rtol": 1.0e-4}}],
    )
    onnxruntime: OnnxRuntimeSpec = Field(
        default_factory=OnnxRuntimeSpec,
        description="Options of ONNX Runtime.",
        examples=[{"optimization": "disable_all"}],
    )
    placement: PlacementRule = Field(
        "warn",
        description="Nodes that the requested execution provider did not take: a note in every report, cases "
        "that are not judged, or nothing.",
        examples=["strict"],
    )
    limits: LimitsSpec = Field(
        default_factory=LimitsSpec,
        description="Limits of time and memory.",
        examples=[{"timeout": 600, "memory": "8GiB"}],
    )
    performance: PerformanceSpec = Field(
        default_factory=PerformanceSpec,
        description="How latency and memory are measured, and their limits.",
        examples=[{"runs": 5, "warmup": 1}, {"max_latency_ratio": 1.5}],
    )
    diagnose: DiagnoseWhen = Field(
        "on-failure",
        description="Which outputs get an error budget: those beyond tolerance, all, or none.",
        examples=["always"],
    )
    baseline: Annotated[BaselineSpec, TextFor("path")] | None = Field(
        None,
        description="The errors of an earlier run: a path, or a mapping. What has grown since is reported.",
        examples=["parity-baseline.json"],
    )
