"""A detector whose rows change their order: PyTorch keeps its proposals' order, ONNX sorts by score."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from support.projects import Project

PROPOSALS = 12
THRESHOLD = 0.35
LABELS = 5

MODEL = f"""\
import torch

class Detector(torch.nn.Module):
    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.boxes = torch.nn.Parameter(torch.rand({PROPOSALS}, 4, generator=generator) * 50)
        self.logits = torch.nn.Parameter(torch.randn({PROPOSALS}, generator=generator))

    def forward(self, x):
        boxes = self.boxes + x.mean()
        scores = torch.sigmoid(self.logits + x.sum() / 100)
        kept = scores > {THRESHOLD}
        labels = torch.arange({PROPOSALS}) % {LABELS}
        return {{"boxes": boxes[kept], "scores": scores[kept], "labels": labels[kept]}}

def build():
    return Detector()
"""


def weights() -> tuple[np.ndarray, np.ndarray]:
    generator = torch.Generator().manual_seed(3)
    boxes = torch.rand(PROPOSALS, 4, generator=generator) * 50
    return boxes.numpy(), torch.randn(PROPOSALS, generator=generator).numpy()


def write_onnx(path: Path, *, moved: float = 0.0, threshold: float = THRESHOLD) -> None:
    """The detector with TopK after its threshold; `moved` shifts one coordinate of one box."""
    boxes, logits = weights()
    boxes = boxes.copy()
    boxes[int(logits.argmax()), 2] += np.float32(moved)
    constants: dict[str, Any] = {
        "all_boxes": boxes,
        "all_logits": logits,
        "all_labels": np.arange(PROPOSALS, dtype=np.int64) % LABELS,
        "hundred": np.float32(100),
        "threshold": np.float32(threshold),
    }
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["mean"], keepdims=0),
        helper.make_node("ReduceSum", ["x"], ["sum"], keepdims=0),
        helper.make_node("Add", ["all_boxes", "mean"], ["shifted"]),
        helper.make_node("Div", ["sum", "hundred"], ["part"]),
        helper.make_node("Add", ["all_logits", "part"], ["raised"]),
        helper.make_node("Sigmoid", ["raised"], ["all_scores"]),
        helper.make_node("Greater", ["all_scores", "threshold"], ["kept"]),
        helper.make_node("Compress", ["all_scores", "kept"], ["kept_scores"], axis=0),
        helper.make_node("Compress", ["shifted", "kept"], ["kept_boxes"], axis=0),
        helper.make_node("Compress", ["all_labels", "kept"], ["kept_labels"], axis=0),
        helper.make_node("Shape", ["kept_scores"], ["count"]),
        helper.make_node("TopK", ["kept_scores", "count"], ["scores", "order"]),
        helper.make_node("Gather", ["kept_boxes", "order"], ["boxes"], axis=0),
        helper.make_node("Gather", ["kept_labels", "order"], ["labels"], axis=0),
    ]
    graph = helper.make_graph(
        nodes,
        "detector",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3])],
        [
            helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ["n", 4]),
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n"]),
            helper.make_tensor_value_info("labels", TensorProto.INT64, ["n"]),
        ],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def detector_project(root: Path, **fault: float) -> Project:
    project = Project(root)
    (root / "model.py").write_text(MODEL)
    write_onnx(root / "model.onnx", **fault)
    project.spec["inputs"] = {"tensors": {"x": {"shape": [2, 3]}}, "samples": 2}
    project.spec["tolerances"] = {
        "boxes": {"match": "rows", "together": ["scores", "labels"], "atol": 1e-3},
        "scores": {"atol": 1e-5},
        "labels": {},
    }
    return project
