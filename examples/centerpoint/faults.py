"""ONNX files for `broken.yml`: a sound voxel encoder, and a backbone with one fault in it."""

from __future__ import annotations

import warnings
from pathlib import Path

import onnx
import torch
from config import DECORATED_FEATURES
from torch import Tensor, nn

FAULTY_NORM = "backbone.blocks.1.4"
FAULTY_EPSILON = 2e-3  # 1e-3 in the module


def write_broken_onnx(encoder: nn.Module, network: nn.Module, directory: Path) -> None:
    """Exports both parts as the gate does, into `directory`, the second one with a changed epsilon."""
    directory.mkdir(parents=True)
    features = torch.zeros(8, 32, DECORATED_FEATURES)
    canvas = torch.zeros(1, encoder(features).shape[1], 16, 16)
    _export(encoder, features, directory / "pts_voxel_encoder.onnx", {"input_features": {0: "num_voxels"}})
    path = directory / "pts_backbone_neck_head.onnx"
    _export(network, canvas, path, {"spatial_features": {0: "batch", 2: "height", 3: "width"}})
    model = onnx.load(path)
    change_epsilon(model, FAULTY_NORM, FAULTY_EPSILON)
    onnx.save(model, path)


def change_epsilon(model: onnx.ModelProto, norm: str, epsilon: float) -> None:
    """Changes the epsilon of the batch norm that stands for the module `norm`, in place.

    Raises:
        ValueError: the model has not exactly one such node with an epsilon.
    """
    attributes = [
        attribute
        for node in model.graph.node
        if node.op_type == "BatchNormalization" and f"{norm}.running_var" in node.input
        for attribute in node.attribute
        if attribute.name == "epsilon"
    ]
    if len(attributes) != 1:
        raise ValueError(f"{len(attributes)} batch norms in the ONNX file stand for {norm}, not 1")
    attributes[0].f = epsilon


def _export(part: nn.Module, example: Tensor, path: Path, axes: dict[str, dict[int, str]]) -> None:
    with torch.no_grad():
        result = part(example)
    names = list(result) if isinstance(result, dict) else ["pillar_features"]
    with warnings.catch_warnings():
        # The TorchScript exporter is what many teams still ship with; its deprecation is no news here.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            part,
            (example,),
            path,
            dynamo=False,
            opset_version=16,
            do_constant_folding=False,
            input_names=list(axes),
            output_names=names,
            dynamic_axes=axes,
        )
