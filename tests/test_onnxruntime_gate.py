"""Options of ONNX Runtime, from the specification to the session: libraries, saved graphs, external data."""

from __future__ import annotations

import shutil
from pathlib import Path

import onnx
import onnxruntime_extensions
import pytest
from onnx import TensorProto, helper, numpy_helper
from support.projects import FEATURES, Finished, Project, write_onnx

SPLIT = """\
import torch

class Split(torch.nn.Module):
    def forward(self, x):
        return {"negative": x.clamp(max=0), "positive": x.clamp(min=0)}

build = Split
"""
PACKAGED = "onnxruntime_extensions:get_library_path"


def split_project(root: Path, *, scale: float = 1.0) -> Project:
    """The parts of x below and above 0, by a custom operator, and times `scale`."""
    project = Project(root)
    (root / "model.py").write_text(SPLIT)
    names = ["negative", "positive"]
    nodes = [
        helper.make_node("NegPos", ["x"], ["below", "above"], name="split", domain="ai.onnx.contrib"),
        *(
            helper.make_node("Mul", [made, "scale"], [name], name=name)
            for made, name in zip(["below", "above"], names, strict=True)
        ),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", FEATURES])
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", FEATURES]) for name in names]
    factor = numpy_helper.from_array(
        onnx.numpy_helper.to_array(helper.make_tensor("s", 1, [], [scale])), "scale"
    )
    graph = helper.make_graph(nodes, "split", [x], outputs, [factor])
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.contrib", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), root / "model.onnx")
    return project


@pytest.mark.parametrize("packaged", [True, False])
def test_custom_operators_come_from_a_library(tmp_path: Path, packaged: bool) -> None:
    project = split_project(tmp_path)
    library = PACKAGED
    if not packaged:
        (tmp_path / "ops").mkdir()
        library = "ops/libops.so"
        shutil.copy(onnxruntime_extensions.get_library_path(), tmp_path / library)
    done = project.run(onnxruntime={"custom_ops": [library]})
    assert done.status == 0, done.stdout + done.stderr
    assert [output["name"] for output in done.results["cases"][0]["outputs"]] == ["negative", "positive"]


def test_a_fault_beside_a_custom_operator_has_a_budget_that_says_what_is_unknown(tmp_path: Path) -> None:
    done = split_project(tmp_path, scale=1.5).run(onnxruntime={"custom_ops": PACKAGED})
    assert done.status == 1, done.stdout + done.stderr
    budget = done.results["cases"][0]["outputs"][0]["diagnosis"]["budget"]
    assert budget["export_error"] is None
    assert "NegPos" in budget["unknown"]["export_error"]


def test_without_its_library_the_operator_is_named_and_the_key(tmp_path: Path) -> None:
    done = split_project(tmp_path).run()
    assert done.status == 3
    (case,) = done.results["cases"]
    assert "NegPos" in case["problem"]["message"]
    assert "onnxruntime.custom_ops" in case["problem"]["fix"]


def test_a_library_that_is_not_there_is_an_error_of_its_line(tmp_path: Path) -> None:
    done = split_project(tmp_path).run(onnxruntime={"custom_ops": [PACKAGED, "ops/libops.so"]})
    assert done.status == 2
    assert not done.results
    lines = (tmp_path / "parity.yml").read_text().splitlines()
    row = next(number for number, line in enumerate(lines, 1) if "libops.so" in line)
    assert f"parity.yml:{row}:" in done.stderr
    assert "there is no file 'ops/libops.so'" in done.stderr


@pytest.mark.parametrize("library", ["model.onnx", "os:getpid"])
def test_what_is_no_library_is_never_a_pass(tmp_path: Path, library: str) -> None:
    done = split_project(tmp_path).run(onnxruntime={"custom_ops": [library]})
    assert done.status in (2, 3)
    (case,) = done.results["cases"]
    assert library.partition(":")[0] in case["problem"]["message"]
    assert case["problem"]["fix"]


def saved(done: Finished, folder: Path) -> onnx.ModelProto:
    assert done.status == 0, done.stdout + done.stderr
    (path,) = folder.rglob("*.onnx")
    return onnx.load(path)


def test_the_optimized_graph_is_saved_with_the_reports(tmp_path: Path) -> None:
    done = Project(tmp_path).run(onnxruntime={"save_optimized": True, "optimization": "all"})
    graph = saved(done, tmp_path / "parity-report" / "optimized" / "small" / "cpu").graph
    assert [node.op_type for node in graph.node] == ["FusedGemm"]


def test_the_optimized_graph_is_saved_in_a_folder_beside_the_specification(tmp_path: Path) -> None:
    done = Project(tmp_path).run(onnxruntime={"save_optimized": "kept/graphs"})
    graph = saved(done, tmp_path / "kept" / "graphs").graph
    assert [node.op_type for node in graph.node] == ["Gemm", "Relu"]  # strict numerics optimize nothing


def test_an_optimized_graph_with_external_data_keeps_it_external(tmp_path: Path) -> None:
    project = Project(tmp_path)
    write_onnx(tmp_path / "model.onnx", external=True)
    done = project.run(onnxruntime={"save_optimized": "kept"})
    assert {tensor.name for tensor in saved(done, tmp_path / "kept").graph.initializer} >= {"weight", "bias"}


def test_a_folder_that_can_not_be_made_is_an_error_of_the_specification(tmp_path: Path) -> None:
    done = Project(tmp_path).run(onnxruntime={"save_optimized": "model.onnx/kept"})
    assert done.status == 2
    assert "can't be made" in done.results["cases"][0]["problem"]["message"]
