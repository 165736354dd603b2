"""Outputs that are matched, and outputs that are no tensors, through the real command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper
from support.detector import detector_project
from support.projects import Finished, Project


def outputs_of(done: Finished, number: int = 0) -> dict[str, dict[str, Any]]:
    return {output["name"]: output for output in done.results["cases"][number]["outputs"]}


def test_rows_in_another_order_pass_with_match_and_fail_without(tmp_path: Path) -> None:
    project = detector_project(tmp_path)
    done = project.run()
    assert done.status == 0, done.stdout + done.stderr
    found = outputs_of(done)["boxes"]["measurement"]["matching"]
    assert found["moved"] > 3
    plain = project.run(tolerances={"*": {"atol": 1e-3}}, diagnose="never")
    assert plain.status == 1


def test_a_box_that_moved_fails_with_its_budget_and_its_cause(tmp_path: Path) -> None:
    project = detector_project(tmp_path, moved=0.5)
    done = project.run()
    assert done.status == 1, done.stdout + done.stderr
    outputs = outputs_of(done)
    assert [output["status"] for output in outputs.values()] == ["failed", "passed", "passed"]
    budget = outputs["boxes"]["diagnosis"]["budget"]
    assert budget["total"] == pytest.approx(0.5, rel=1e-4)
    assert budget["export_error"] == pytest.approx(0.5, rel=1e-4)
    assert budget["runtime_error"] < 1e-5
    assert outputs["boxes"]["diagnosis"]["causes"][0]["tensor"] == "all_boxes"
    assert "↔" in done.stdout
    assert "matched" in (tmp_path / "parity-report" / "junit.xml").read_text()


def test_rows_that_are_missing_are_listed_and_no_leg_is_made_up(tmp_path: Path) -> None:
    done = detector_project(tmp_path, threshold=0.6).run()
    assert done.status == 1, done.stdout + done.stderr
    boxes = outputs_of(done)["boxes"]
    assert boxes["measurement"]["matching"]["lone_reference"] > 0
    assert "has no counterpart: boxes [" in boxes["measurement"]["matching"]["examples"][0]
    assert boxes["diagnosis"]["budget"]["export_error"] is None
    for report in ("junit.xml", "summary.md"):
        assert "no counterpart" in (tmp_path / "parity-report" / report).read_text()


def test_a_detector_that_finds_nothing_compares_nothing(tmp_path: Path) -> None:
    project = detector_project(tmp_path, threshold=2.0)
    model = (tmp_path / "model.py").read_text()
    (tmp_path / "model.py").write_text(model.replace("scores > 0.35", "scores > 2.0"))
    done = project.run()
    assert done.status == 3, done.stdout + done.stderr
    assert "nothing was compared" in done.stdout


def test_outputs_that_can_not_be_matched_have_no_budget(tmp_path: Path) -> None:
    project = detector_project(tmp_path)
    model = (tmp_path / "model.py").read_text()
    (tmp_path / "model.py").write_text(model.replace("labels[kept]", "labels[kept].int()"))
    rules = {
        "boxes": {"match": "rows", "together": ["scores", "labels"]},
        "scores": {"atol": 1e-5},
        "labels": {},
    }
    done = project.run(tolerances=rules)
    assert done.status == 1, done.stdout + done.stderr
    for output in outputs_of(done).values():
        assert output["status"] == "failed"
        assert "labels: the reference is int32, the candidate int64" in output["problem"]
        assert output["diagnosis"] is None


PARTS = """\
import torch

class Model(torch.nn.Module):
    def forward(self, x):
        return {result}

def build():
    return Model()
"""


def odd_project(root: Path, result: str, nodes: list[onnx.NodeProto], kind: onnx.TypeProto) -> Project:
    """``y = x``, and an output of that kind from `nodes`."""
    project = Project(root)
    (root / "model.py").write_text(PARTS.format(result=result))
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"]), *nodes],
        "odd",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 3]), helper.make_value_info("odd", kind)],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), root / "model.onnx")
    project.spec["inputs"] = {"tensors": {"x": {"shape": [2, 3]}}}
    return project


TENSOR = helper.make_tensor_type_proto(TensorProto.FLOAT, None)
SPLIT = [helper.make_node("SplitToSequence", ["x"], ["odd"], axis=0)]
ZIPMAP = [
    helper.make_node("ZipMap", ["x"], ["odd"], domain="ai.onnx.ml", classlabels_strings=["a", "b", "c"])
]
MAPS = helper.make_sequence_type_proto(helper.make_map_type_proto(TensorProto.STRING, TENSOR))
NAMED = '(x, [{k: float(v) for k, v in zip("abc", row)} for row in x])'


@pytest.mark.parametrize(
    ("result", "nodes", "kind", "names"),
    [
        ("(x, [x[:1], x[1:]])", SPLIT, helper.make_sequence_type_proto(TENSOR), ["odd.0", "odd.1"]),
        (NAMED, ZIPMAP, MAPS, [f"odd.{row}.{key}" for row in range(2) for key in "abc"]),
        (
            "(x, None)",
            [helper.make_node("Optional", [], ["odd"], type=TENSOR)],
            helper.make_optional_type_proto(TENSOR),
            ["odd"],
        ),
        (
            "(x, x)",
            [helper.make_node("Optional", ["x"], ["odd"])],
            helper.make_optional_type_proto(TENSOR),
            ["odd"],
        ),
        (
            "(x, [])",
            [helper.make_node("SequenceEmpty", [], ["odd"])],
            helper.make_sequence_type_proto(TENSOR),
            ["odd"],
        ),
    ],
    ids=["sequence", "zipmap", "none", "some", "empty"],
)
def test_sequences_maps_and_optional_values(
    tmp_path: Path, result: str, nodes: list[onnx.NodeProto], kind: onnx.TypeProto, names: list[str]
) -> None:
    done = odd_project(tmp_path, result, nodes, kind).run(diagnose="always")
    assert done.status == 0, done.stdout + done.stderr
    assert list(outputs_of(done)) == ["y", *names]


@pytest.mark.parametrize(
    ("result", "nodes", "kind", "failing"),
    [
        ("(x, [x[:1], x[1:] + 1])", SPLIT, helper.make_sequence_type_proto(TENSOR), "odd.1"),
        ("(x, [x[:1], x[1:], x])", SPLIT, helper.make_sequence_type_proto(TENSOR), "odd.2"),
        ("(x, [x[:1]])", SPLIT, helper.make_sequence_type_proto(TENSOR), "odd.1"),
        (NAMED.replace("float(v)", "float(v) + 1"), ZIPMAP, MAPS, "odd.0.a"),
        (NAMED.replace('"abc"', '"abd"'), ZIPMAP, MAPS, "odd.0.d"),
        (
            "(x, x)",
            [helper.make_node("Optional", [], ["odd"], type=TENSOR)],
            helper.make_optional_type_proto(TENSOR),
            "1",
        ),
        (
            "(x, None)",
            [helper.make_node("Optional", ["x"], ["odd"])],
            helper.make_optional_type_proto(TENSOR),
            "odd",
        ),
    ],
    ids=["value", "shorter", "longer", "number", "key", "lacks", "has"],
)
def test_what_differs_in_them_fails(
    tmp_path: Path, result: str, nodes: list[onnx.NodeProto], kind: onnx.TypeProto, failing: str
) -> None:
    done = odd_project(tmp_path, result, nodes, kind).run()
    assert done.status == 1, done.stdout + done.stderr
    assert outputs_of(done)[failing]["status"] == "failed"
