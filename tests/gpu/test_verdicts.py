"""Sound and broken models on the device, through the command."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
import torch
from support.onnx_models import value
from support.projects import Project, write_onnx

STRAY = """
import torch
class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(4, 3)
        self.offset = torch.ones(3)
    def forward(self, x):
        return self.linear(x) + self.offset
def build(): return Model()
"""


def test_a_sound_model_passes_and_both_sides_ran_on_the_device(tmp_path: Path, device: str) -> None:
    done = Project(tmp_path).run(devices=[device], performance={"runs": 3})

    assert done.status == 0, done.stdout + done.stderr
    (case,) = done.results["cases"]
    assert (case["reference"], case["candidate"]) == (f"torch@{device}", f"onnxruntime@{device}")
    assert case["reference_performance"]["latency_ms"] > 0
    assert case["candidate_performance"]["latency_ms"] > 0


def test_a_wrong_bias_fails_and_is_named(tmp_path: Path, device: str) -> None:
    made = Project(tmp_path)
    write_onnx(tmp_path / "model.onnx", bias_shift=0.01)
    done = made.run(devices=[device])

    assert done.status == 1
    (output,) = done.results["cases"][0]["outputs"]
    diagnosis = output["diagnosis"]
    assert diagnosis["dominant_leg"] == "export"
    assert diagnosis["causes"][0]["kind"] == "initializer"
    assert diagnosis["budget"]["unknown"] == {}


def test_several_sizes_run_one_after_the_other(tmp_path: Path, device: str) -> None:
    tensors = {"x": {"shape": ["batch", 4], "dtype": "float32", "distribution": "normal"}}
    inputs = {"dims": {"batch": [1, 64, 4096]}, "samples": 2, "tensors": tensors}
    done = Project(tmp_path).run(devices=[device], inputs=inputs, tolerances={"*": {"noise_factor": 20}})

    assert done.status == 0, done.stdout + done.stderr
    assert len(done.results["cases"]) == 6


@pytest.mark.cuda_only
def test_a_tensor_that_stays_behind_is_named(tmp_path: Path, device: str) -> None:
    made = Project(tmp_path)
    (tmp_path / "model.py").write_text(STRAY)
    done = made.run(devices=[device])

    assert done.status == 3
    problem = done.results["cases"][0]["problem"]
    assert "offset" in problem["fix"] + problem["message"]


@pytest.mark.cuda_only
def test_a_device_that_is_not_there_is_no_pass(tmp_path: Path) -> None:
    missing = f"cuda:{torch.cuda.device_count()}"
    done = Project(tmp_path).run(devices=[missing])

    assert done.status == 3
    assert missing in done.stdout + done.stderr


@pytest.mark.cuda_only
def test_a_model_that_does_not_fit_is_no_pass(tmp_path: Path, device: str) -> None:
    huge = "x = torch.empty(1 << 50, device=x.device)"
    done = Project(tmp_path, before=huge).run(devices=[device])

    assert done.status == 3
    assert "memory" in done.results["cases"][0]["problem"]["message"]


@pytest.mark.cuda_only
def test_a_node_without_a_kernel_of_the_device_is_placed_in_the_open(tmp_path: Path, device: str) -> None:
    made = Project(tmp_path)
    model = onnx.load(tmp_path / "model.onnx")
    # The CUDA provider has had no kernel for it so far.
    model.graph.node[-1].CopyFrom(onnx.helper.make_node("Mish", ["z"], ["y"], name="mish"))
    model.graph.output[0].CopyFrom(value("y", shape=["batch", 3]))
    onnx.save(model, tmp_path / "model.onnx")
    source = (tmp_path / "model.py").read_text().replace("torch.relu(", "torch.nn.functional.mish(")
    (tmp_path / "model.py").write_text(source)

    done = made.run(devices=[device], placement="strict")
    assigned = done.results["suites"][0]
    if done.status == 0:
        pytest.fail(f"this ONNX Runtime has a CUDA kernel for Mish: take another operator; {assigned}")
    assert done.status == 3
    assert "mish" in done.stdout
