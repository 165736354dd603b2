"""Image files through the gate."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import yaml
from onnx import TensorProto, helper
from PIL import Image
from support.projects import run_parity

MODEL = """\
import torch

def build():
    return torch.nn.Sequential(torch.nn.AvgPool2d(2), torch.nn.Flatten())
"""


def test_a_folder_of_images_is_judged_image_by_image(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text(MODEL)
    graph = helper.make_graph(
        [
            helper.make_node("AveragePool", ["x"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
            helper.make_node("Flatten", ["p"], ["y"]),
        ],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 48])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, tmp_path / "model.onnx")
    (tmp_path / "images").mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "images" / "noise.png")
    Image.fromarray(noise[:, :, 0]).save(tmp_path / "images" / "gray.jpg")
    (tmp_path / "images" / "broken.png").write_text("no image")
    images = {"files": "images/*", "input": "x", "size": [8, 8], "mean": [0.5] * 3, "std": [0.25] * 3}
    spec = {
        "version": 1,
        "name": "pictures",
        "model": {"target": "model.py:build"},
        "onnx": "model.onnx",
        "inputs": {"images": images},
        "performance": {"runs": 0},
    }
    (tmp_path / "parity.yml").write_text(yaml.safe_dump(spec))
    done = run_parity("run", "parity.yml", cwd=tmp_path)
    assert done.status == 3, done.stdout + done.stderr
    assert {case["input_set"]: case["status"] for case in done.cases.values()} == {
        "broken": "error",
        "gray": "passed",
        "noise": "passed",
    }
    assert "the image broken.png can't be read" in done.case("broken")["problem"]["message"]
    assert done.case("noise")["inputs"][0]["shape"] == [1, 3, 8, 8]
