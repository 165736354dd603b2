"""Builds of ONNX Runtime that go before the environment's own, as `make providers` installs them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

PACKAGES = (Path(__file__).parent / "packages.txt").read_text().split()


def _environment(package: str) -> Mapping[str, str]:
    home = Path.home() / ".cache" / "onnx-parity-action" / "providers"
    (wanted,) = (each for each in PACKAGES if each.startswith(f"{package}=="))
    folder = Path(os.environ.get("PARITY_PROVIDERS", home)) / wanted
    if not (folder / ".installed").exists():
        pytest.skip(f"{wanted} is not installed: run `make providers`")
    return {"PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}


@pytest.fixture
def gpu_build() -> Mapping[str, str]:
    """The environment of a process whose onnxruntime is onnxruntime-gpu, without the CUDA that it needs."""
    import torch

    if torch.version.cuda is not None:
        pytest.skip("this PyTorch brings CUDA along, which onnxruntime-gpu would find")
    return _environment("onnxruntime-gpu")


@pytest.fixture
def openvino_build() -> Mapping[str, str]:
    """The environment of a process whose onnxruntime has OpenVINO's provider, which runs on any CPU."""
    return _environment("onnxruntime-openvino")
