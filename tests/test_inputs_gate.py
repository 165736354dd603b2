"""Kinds of inputs through the gate: masks with token ids, and data sets for a PyTorch model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import numpy_helper
from support.projects import FEATURES, Project

from parity.artifacts import Array

EMBEDDING = """\
import torch

class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.table = torch.nn.Embedding.from_pretrained(torch.arange(100.0).reshape(50, 2) / 7)

    def forward(self, input_ids, attention_mask, position_ids):
        kept = attention_mask.unsqueeze(-1).float()
        hidden = (self.table(input_ids) + position_ids.unsqueeze(-1)) * kept
        return hidden.sum(1) / kept.sum(1)

def build():
    return Model()
"""


def kept(root: Path, name: str, input_set: str) -> Array:
    """An input as it was kept."""
    (file,) = (root / "kept").glob(f"**/inputs/{input_set}/{name}-*.npy")
    array: Array = np.load(file)
    return array


def test_token_ids_follow_their_mask(tmp_path: Path) -> None:
    project = Project(tmp_path)
    (tmp_path / "model.py").write_text(EMBEDDING)
    tokens = {"shape": ["batch", "seq"], "dtype": "int64"}
    names = ("input_ids", "attention_mask", "position_ids")
    dynamic = {name: {0: "batch", 1: "seq"} for name in names}
    done = project.run(
        "--keep",
        "kept",
        onnx={"path": "exported.onnx", "export": {"exporter": "dynamo", "dynamic_shapes": dynamic}},
        inputs={
            "dims": {"batch": [2, 3], "seq": [5, 9], "vocabulary": 50},
            "tensors": {
                "input_ids": {
                    **tokens,
                    "distribution": "integers",
                    "low": 3,
                    "high": "vocabulary",
                    "padding": {"mask": "attention_mask", "value": 1},
                },
                "attention_mask": {**tokens, "distribution": "mask", "pad": "left", "lengths": {"min": 2}},
                "position_ids": {**tokens, "distribution": "positions", "of": "attention_mask"},
            },
        },
    )
    assert done.status == 0, done.stdout + done.stderr
    assert len(done.cases) == 4
    name = "batch=3,seq=9,vocabulary=50,sample=0"
    ids, mask, positions = (kept(tmp_path, one, name) for one in names)
    assert ids.shape == (3, 9)
    assert ((ids == 1) == (mask == 0)).all()
    assert (positions[:, -1] == mask.sum(axis=1) - 1).all()


@pytest.mark.parametrize("names", [("x",), ("",), ("other",)], ids=["named", "nameless", "others"])
@pytest.mark.parametrize("export", [False, True], ids=["file", "exported"])
def test_a_data_set_goes_to_a_module_by_name_or_by_number(
    tmp_path: Path, names: tuple[str], export: bool
) -> None:
    project = Project(tmp_path)
    folder = tmp_path / "test_data_set_0"
    folder.mkdir()
    x = np.ones((2, FEATURES), np.float32)
    (folder / "input_0.pb").write_bytes(numpy_helper.from_array(x, names[0]).SerializeToString())
    onnx = {"path": "exported.onnx", "export": {"exporter": "torchscript"}} if export else "model.onnx"
    done = project.run(inputs={"files": "test_data_set_*"}, onnx=onnx)
    assert done.status == 0, done.stdout + done.stderr
    (case,) = done.cases.values()
    assert [(one["name"], one["shape"]) for one in case["inputs"]] == [("x", [2, FEATURES])]
