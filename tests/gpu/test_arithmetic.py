"""TF32, its absence, and what the diagnosis says of them, on real tensor cores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.projects import Finished, Project

pytestmark = pytest.mark.cuda_only

MODEL = """
import torch
class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.stem = torch.nn.Conv2d(16, 64, 3, padding=1)
        self.body = torch.nn.Conv2d(64, 64, 3, padding=1)
        self.head = torch.nn.Linear(64, 32)
    def forward(self, x):
        maps = torch.relu(self.body(torch.relu(self.stem(x))))
        return self.head(maps.permute(0, 2, 3, 1))
def build(): return Model()
"""
IN_TF32 = "torch.backends.cudnn.conv.fp32_precision = 'tf32'\n"
IN_FLOAT32 = "torch.backends.cudnn.conv.fp32_precision = 'ieee'\n"
BELOW_NOISE = {"*": {"atol": 1.0e-8, "rtol": 0}}  # so that every difference is diagnosed


def run(root: Path, device: str, *, reference: str = "", **changes: Any) -> Finished:
    """The gate on `MODEL`, exported by itself; `reference` is code at the end of the user's module."""
    project = Project(root)
    (root / "model.py").write_text(MODEL + reference)
    tensor = {"shape": [2, 16, 64, 64], "dtype": "float32", "distribution": "normal"}
    export = {"path": "exported.onnx", "export": {"exporter": "torchscript", "opset": 18}}
    return project.run(devices=[device], onnx=export, inputs={"tensors": {"x": tensor}}, **changes)


def without_tf32_in_onnxruntime(root: Path, device: str, reference: str) -> Finished:
    """A run under default numerics that is below the noise, so that it is diagnosed."""
    options = {"provider_options": {"use_tf32": "0"}}
    return run(
        root, device, reference=reference, numerics="default", onnxruntime=options, tolerances=BELOW_NOISE
    )


def diagnosis(done: Finished) -> dict[str, Any]:
    """Of the only output of the only case."""
    (case,) = done.results["cases"]
    assert case["problem"] is None, case["problem"]
    found: dict[str, Any] = case["outputs"][0]["diagnosis"]
    return found


def test_strict_numerics_stay_within_twenty_times_the_noise(tmp_path: Path, device: str) -> None:
    done = run(tmp_path, device, numerics="strict", tolerances={"*": {"noise_factor": 20}})

    assert done.status == 0, done.stdout + done.stderr
    sides = done.results["suites"][0]["sides"]
    settings = {key: value for side in sides for key, value in side["settings"].items()}
    assert settings["torch.backends.cudnn.conv.fp32_precision"] == "ieee"
    assert settings["CUDAExecutionProvider.use_tf32"] == "0"


def test_tf32_in_the_reference_is_named_and_reproduced(tmp_path: Path, device: str) -> None:
    found = diagnosis(without_tf32_in_onnxruntime(tmp_path, device, reference=IN_TF32))

    assert found["dominant_leg"] == "reference"
    assert found["causes"][0]["kind"] == "tf32"
    assert found["causes"][0]["share"] >= 0.95
    assert found["budget"]["reference_rounding"] > 20 * found["budget"]["noise_floor"]


def test_tf32_in_the_candidate_is_named(tmp_path: Path, device: str) -> None:
    options = {"provider_options": {"use_tf32": "1"}}
    found = diagnosis(run(tmp_path, device, numerics="strict", onnxruntime=options, tolerances=BELOW_NOISE))

    assert found["dominant_leg"] == "runtime"
    assert found["causes"][0]["kind"] == "tf32"
    assert found["causes"][0]["share"] >= 0.95


def test_without_tf32_nobody_blames_it(tmp_path: Path, device: str) -> None:
    found = diagnosis(without_tf32_in_onnxruntime(tmp_path, device, reference=IN_FLOAT32))

    assert "tf32" not in [cause["kind"] for cause in found["causes"]]
