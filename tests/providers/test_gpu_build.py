"""onnxruntime-gpu on a machine without CUDA: ONNX Runtime would go on, on the CPU, with a line in the log."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from support.projects import Project, run_parity

MISSING = re.compile(r"libcu\w+\.so\.\d+: cannot open shared object file")


def test_a_device_that_neither_side_can_use_has_the_reasons_of_both(
    tmp_path: Path, gpu_build: Mapping[str, str]
) -> None:
    Project(tmp_path).write_spec(devices=["cuda:0"])
    done = run_parity("run", "parity.yml", cwd=tmp_path, environment=gpu_build)
    assert done.status == 3, done.stdout + done.stderr
    (case,) = done.results["cases"]
    assert (case["status"], case["outputs"]) == ("error", [])
    message = case["problem"]["message"]
    assert case["problem"]["kind"] == "device"
    assert "loading the reference on cuda:0: cuda:0 is not available" in message
    assert "starting ONNX Runtime on cuda:0: CUDAExecutionProvider did not load" in message
    assert MISSING.search(message)
    assert MISSING.search(" ".join(done.stdout.replace("│", " ").split()))  # however it was wrapped


def test_the_doctor_says_so_of_the_provider_and_of_the_device(
    tmp_path: Path, gpu_build: Mapping[str, str]
) -> None:
    done = run_parity("doctor", "--devices", "cuda:0", cwd=tmp_path, environment=gpu_build)
    assert done.status == 3
    told = {line.split()[1]: line for line in done.stdout.splitlines() if line.startswith(("ok", "no"))}
    assert MISSING.search(told["CUDAExecutionProvider"])
    assert "TensorRT" in told["TensorrtExecutionProvider"]
    assert MISSING.search(told["TensorrtExecutionProvider"])
    assert "CUDAExecutionProvider did not load" in told["cuda:0"]
    assert told["CPUExecutionProvider"].startswith("ok")


def test_the_cpu_of_the_same_build_is_judged(tmp_path: Path, gpu_build: Mapping[str, str]) -> None:
    Project(tmp_path).write_spec(devices=["cpu"], placement="strict")
    done = run_parity("run", "parity.yml", cwd=tmp_path, environment=gpu_build)
    assert done.status == 0, done.stdout + done.stderr


def test_pytorch_on_the_cpu_is_never_compared_with_onnxruntime_on_the_cpu_instead(
    tmp_path: Path, gpu_build: Mapping[str, str]
) -> None:
    pair = {"reference": "torch@cpu", "candidate": "onnxruntime@cuda:0"}
    Project(tmp_path).write_spec(comparisons=[pair])
    done = run_parity("run", "parity.yml", cwd=tmp_path, environment=gpu_build)
    assert done.status == 3, done.stdout + done.stderr
    (case,) = done.results["cases"]
    assert (case["status"], case["outputs"]) == ("error", [])
    assert MISSING.search(case["problem"]["message"])
    assert "loading the reference" not in case["problem"]["message"]
    assert case["problem"]["fix"]
