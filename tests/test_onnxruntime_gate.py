"""Options of ONNX Runtime, from the specification to the session: libraries, saved graphs, external data."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
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
    factor = numpy_helper.from_array(np.array(scale, np.float32), "scale")
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


def large_project(root: Path, *, fault: float = 0.0) -> Project:
    """64 MiB of weights in a file beside the model; PyTorch makes the same ones."""
    size = 4096
    project = Project(root)
    weight = np.resize(np.arange(97, dtype=np.float32) / 97 - 0.5, (size, size)) / 64
    (root / "model.py").write_text(
        "import numpy as np, torch\n"
        "class Net(torch.nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        f"        weight = np.resize(np.arange(97, dtype=np.float32) / 97 - 0.5, ({size}, {size})) / 64\n"
        "        self.weight = torch.nn.Parameter(torch.from_numpy(weight))\n"
        "    def forward(self, x):\n"
        "        return x @ self.weight\n"
        "build = Net\n"
    )
    ends = [[helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, size])] for name in "xy"]
    tensor = numpy_helper.from_array(weight + np.float32(fault), "weight")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "weight"], ["y"], name="mm")], "g", *ends, [tensor]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, root / "model.onnx", save_as_external_data=True, location="model.onnx.data")
    project.spec["inputs"] = {"tensors": {"x": {"shape": [1, size]}}}
    project.spec["tolerances"] = {"*": {"atol": 1e-3}}
    return project


def test_external_data_is_read_by_onnxruntime_alone_and_a_diagnosis_keeps_to_the_limit(
    tmp_path: Path,
) -> None:
    project = large_project(tmp_path)
    assert (tmp_path / "model.onnx").stat().st_size < 2000
    done = project.run(placement="strict")
    assert done.status == 0, done.stdout + done.stderr
    (case,) = done.results["cases"]
    # The process without a model is 70 MiB; a second copy of the weights would be 64 more.
    assert case["candidate_performance"]["peak_rss_bytes"] < (70 + 1.5 * 64) * 2**20
    # In float64 the weights are twice as large, and the module and the graph both have them.
    limit = case["reference_performance"]["peak_rss_bytes"] + 64 * 2**20
    large_project(tmp_path, fault=0.01)
    done = project.run(limits={"memory": f"{limit}B"})
    assert done.status == 1, done.stdout + done.stderr
    (output,) = done.results["cases"][0]["outputs"]
    budget = output["diagnosis"]["budget"]
    assert budget["export_error"] is None
    assert f"in use, the limit is {limit / 2**30:.2f} GiB" in budget["unknown"]["export_error"]
