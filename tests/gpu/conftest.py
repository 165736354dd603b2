"""The gate on a GPU. `PARITY_TEST_DEVICE=cpu` rehearses here what does not need one."""

from __future__ import annotations

import os
from pathlib import Path

import onnxruntime
import pytest
import torch

DEVICE = os.environ.get("PARITY_TEST_DEVICE", "cuda:0")
HAS_CUDA = torch.cuda.is_available() and "CUDAExecutionProvider" in onnxruntime.get_available_providers()
NEEDS = "needs a CUDA device, a CUDA build of PyTorch and onnxruntime-gpu"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks every test of this folder; one that is about CUDA itself (`cuda_only`) is never rehearsed."""
    for item in items:
        if not item.path.is_relative_to(Path(__file__).parent):
            continue
        item.add_marker(pytest.mark.gpu)
        rehearsed = DEVICE == "cpu" and item.get_closest_marker("cuda_only") is None
        if not HAS_CUDA and not rehearsed:
            item.add_marker(pytest.mark.skip(reason=NEEDS))


@pytest.fixture(scope="session")
def device() -> str:
    """The device under test, ``cuda:0`` unless the environment says otherwise."""
    return DEVICE
