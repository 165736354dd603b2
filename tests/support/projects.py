"""A small user project on disk, and `parity` run on it as a user runs it: in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import yaml
from onnx import TensorProto, helper, numpy_helper

FEATURES = 4

MODEL = """\
import os, sys, time
import torch

class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(4, 3)
        with torch.no_grad():
            self.linear.weight.copy_(torch.arange(12.0).reshape(3, 4) / 10)
            self.linear.bias.copy_(torch.tensor([0.5, -0.5, 0.25]))

    def forward(self, x):
        {before}
        return torch.relu(self.linear(x))

def build():
    {on_build}
    return Model()
"""


def weights() -> tuple[np.ndarray, np.ndarray]:
    """Weight (3, 4) and bias (3,) of the project's model, float32."""
    return (np.arange(12, dtype=np.float32).reshape(3, 4) / 10, np.array([0.5, -0.5, 0.25], np.float32))


def write_onnx(path: Path, *, bias_shift: float = 0.0, external: bool = False) -> None:
    """The same model as `MODEL`, input x (batch, 4), output y (batch, 3)."""
    weight, bias = weights()
    graph = helper.make_graph(
        [
            helper.make_node("Gemm", ["x", "weight", "bias"], ["z"], transB=1),
            helper.make_node("Relu", ["z"], ["y"]),
        ],
        "model",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", FEATURES])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 3])],
        [
            numpy_helper.from_array(weight, "weight"),
            numpy_helper.from_array(bias + np.float32(bias_shift), "bias"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(
        model,
        path,
        save_as_external_data=external,
        location=f"{path.name}.data",
        size_threshold=0,
    )


@dataclass(frozen=True)
class Finished:
    """A finished `parity`, with its results when it wrote any."""

    status: int
    stdout: str
    stderr: str
    results: dict[str, Any] = field(default_factory=dict)

    @property
    def cases(self) -> dict[str, dict[str, Any]]:
        """Case id -> case, as results.json has it."""
        return {case["id"]: case for case in self.results["cases"]}

    def case(self, input_set: str) -> dict[str, Any]:
        """The one case of an input set."""
        (found,) = (case for case in self.results["cases"] if case["input_set"] == input_set)
        return found


class Project:
    """A folder with a model, an ONNX file and a specification.

    Args:
        root: an empty folder.
        before: a statement that runs at the start of `forward`.
        on_build: a statement that runs when the model is built.
    """

    def __init__(self, root: Path, *, before: str = "pass", on_build: str = "pass") -> None:
        self.root = root
        (root / "model.py").write_text(MODEL.format(before=before, on_build=on_build))
        write_onnx(root / "model.onnx")
        self.spec: dict[str, Any] = {
            "version": 1,
            "name": "small",
            "model": {"loader": "python", "target": "model.py:build"},
            "onnx": "model.onnx",
            "inputs": {
                "tensors": {"x": {"shape": [2, FEATURES], "dtype": "float32", "distribution": "normal"}}
            },
            "tolerances": {"*": {"atol": 1e-5}},
            "performance": {"runs": 0},
        }

    def write_spec(self, **changes: Any) -> Path:
        """Writes parity.yml; a change to None removes the key."""
        spec = {key: value for key, value in {**self.spec, **changes}.items() if value is not None}
        path = self.root / "parity.yml"
        path.write_text(yaml.safe_dump(spec, sort_keys=False))
        return path

    def run(self, *arguments: str, **changes: Any) -> Finished:
        """`parity run parity.yml` with a specification that has these changes."""
        self.write_spec(**changes)
        return run_parity("run", "parity.yml", *arguments, cwd=self.root)


def run_parity(
    *arguments: str, cwd: Path, timeout: float = 240, environment: Mapping[str, str] | None = None
) -> Finished:
    """`python -m parity ...`; results are read from the default report folder, if it is there.

    `environment` is added to this process's own.
    """
    done = subprocess.run(
        [sys.executable, "-m", "parity", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env={**os.environ, **(environment or {})},
    )
    results = cwd / "parity-report" / "results.json"
    found = json.loads(results.read_text()) if results.exists() else {}
    return Finished(done.returncode, done.stdout, done.stderr, found)
