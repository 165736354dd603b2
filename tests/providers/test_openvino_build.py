"""OpenVINO's provider takes a part of a graph on any CPU: the placement of a real division."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper
from support.projects import Finished, Project, run_parity

MODEL = """\
import torch

class Net(torch.nn.Module):
    def forward(self, x):
        return torch.exp(torch.linalg.det(torch.relu(x)))

build = Net
"""
OPENVINO, CPU = "OpenVINOExecutionProvider", "CPUExecutionProvider"


def gated(root: Path, build: Mapping[str, str], **changes: Any) -> Finished:
    """Relu -> Det -> Exp on a batch of 5; OpenVINO has no Det, and the second tensor is 5 numbers."""
    project = Project(root)
    (root / "model.py").write_text(MODEL)
    nodes = [
        helper.make_node(op_type, [given], [made], name=op_type.lower())
        for op_type, given, made in (("Relu", "x", "r"), ("Det", "r", "d"), ("Exp", "d", "y"))
    ]
    ends = (
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n"])],
    )
    graph = helper.make_graph(nodes, "graph", *ends)
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8),
        root / "model.onnx",
    )
    options = changes.pop("options", {})
    candidate = {
        "backend": "onnxruntime",
        "provider": "openvino",
        "device": "cpu",
        "provider_options": options,
    }
    project.write_spec(
        inputs={"tensors": {"x": {"shape": [5, 8, 8], "distribution": "uniform", "low": 0.0, "high": 0.3}}},
        comparisons=[{"reference": "torch@cpu", "candidate": candidate}],
        tolerances={"*": {"atol": 1e-4, "rtol": 1e-3}},
        **changes,
    )
    return run_parity("run", "parity.yml", cwd=root, environment=build)


def test_a_warning_and_the_data(tmp_path: Path, openvino_build: Mapping[str, str]) -> None:
    done = gated(tmp_path, openvino_build, options={"device_type": "CPU"})
    assert done.status == 0, done.stdout + done.stderr
    (side,) = (side for side in done.results["suites"][0]["sides"] if side["side"].startswith("onnxruntime"))
    (placement,) = side["placements"]
    assert placement["requested"] == OPENVINO
    assert sum(placement["nodes"].values()) == 3
    assert "Det" in [each["op_type"] for each in placement["elsewhere"]]
    note = next(note for note in side["notes"] if "are not on" in note)
    assert f"nodes are not on {OPENVINO}: " in note
    for name in ("junit.xml", "summary.md"):
        assert "nodes are not on OpenVINO" in (tmp_path / "parity-report" / name).read_text()
    # Det's result goes back to OpenVINO, and Relu's comes from there where OpenVINO takes a part that small.
    sizes = {each["tensor"]: each["bytes"] for each in placement["crossings"]["largest"]}
    assert sizes["d"] == 5 * 4
    assert sizes.get("r", 5 * 64 * 4) == 5 * 64 * 4
    assert placement["crossings"]["bytes"] == sum(sizes.values())
    assert placement["crossings"]["unknown"] == ""


def test_strict_is_not_judged_and_names_nodes_and_bytes(
    tmp_path: Path, openvino_build: Mapping[str, str]
) -> None:
    done = gated(tmp_path, openvino_build, placement="strict")
    assert done.status == 3, done.stdout + done.stderr
    (case,) = done.results["cases"]
    problem = case["problem"]
    assert (case["status"], case["outputs"], problem["kind"]) == ("error", [], "placement")
    row = (tmp_path / "parity.yml").read_text().splitlines().index("placement: strict") + 1
    assert problem["at"] == f"parity.yml:{row}:1"
    assert "Det (det)" in problem["message"]
    assert f"{CPU} runs Det 'det'" in problem["detail"]
    assert f"'d' goes from {CPU} to {OPENVINO}: 20 bytes" in problem["detail"]


def test_an_option_that_the_provider_refuses_is_in_its_words(
    tmp_path: Path, openvino_build: Mapping[str, str]
) -> None:
    done = gated(tmp_path, openvino_build, options={"device_typ": "CPU"})
    assert done.status == 2, done.stdout + done.stderr
    problem = done.results["cases"][0]["problem"]
    assert "Invalid OpenVINO EP option: device_typ" in problem["message"]
    assert "provider_options" in problem["fix"]
