"""Where a difference starts and why, from the outside: real faults, the command, and what it reports."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import yaml
from onnx import ModelProto, TensorProto, helper, numpy_helper
from support.projects import Finished, Project
from support.reference import HEAD
from support.reference import Project as Exporting

from parity.worker import numerics

SHAPE = (2, 3, 16, 16)
NET = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        norm = nn.BatchNorm2d(8)
        norm.running_var.uniform_(0.01, 0.02)
        self.stem = nn.Conv2d(3, 4, 3)
        self.body = nn.Sequential(nn.Conv2d(4, 8, 3), nn.ReLU(), norm, nn.Conv2d(8, 4, 3))
    def forward(self, x):
        y = self.stem(x)
        return {"maps": self.body(y), "early": y * 2}
def build(): return Net()
"""
BODY_LINE = "model.py:14"

IN_TF32 = """
from support.kernels import rounding_operands, to_tf32
emulated = rounding_operands(to_tf32)
def build():
    emulated.__enter__()
    return Net()
"""

POOL = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.pool = nn.MaxPool2d(3, stride=1)
    def forward(self, x):
        return self.pool(nn.functional.pad(-x, (1, 1, 1, 1)))
def build(): return Net()
"""


def project(root: Path, source: str = NET, shape: tuple[int, ...] = SHAPE, **input_spec: Any) -> Project:
    """A project of this module; its file is still to be written."""
    made = Project(root)
    (root / "model.py").write_text(HEAD + source)
    tensor = {"shape": list(shape), "dtype": "float32", "distribution": "normal", **input_spec}
    made.spec["inputs"] = {"tensors": {"x": tensor}}
    return made


def export(made: Project, alter: Callable[[ModelProto], None] = lambda model: None) -> None:
    """Exports the project's module as it is, and alters the file."""
    path, source = list(sys.path), (made.root / "model.py").read_text()
    with numerics.strict():
        (made.root / "export").mkdir()
        exporting = Exporting(made.root / "export", source.removeprefix(HEAD))
        exporting.load()
        exporting.run(x=np.ones(SHAPE, np.float32))
        model = onnx.load(exporting.export().path)
    sys.path[:] = path
    alter(model)
    onnx.save(model, made.root / "model.onnx")


def epsilon(model: ModelProto) -> None:
    (norm,) = (node for node in model.graph.node if node.op_type == "BatchNormalization")
    (attribute,) = (each for each in norm.attribute if each.name == "epsilon")
    attribute.f = 0.1


def outputs(done: Finished) -> dict[str, Any]:
    """The outputs of the only case, by name."""
    (case,) = done.results["cases"]
    return {output["name"]: output for output in case["outputs"]}


def kinds(diagnosis: dict[str, Any]) -> list[str]:
    return [cause["kind"] for cause in diagnosis["causes"]]


def summary(made: Project) -> str:
    return (made.root / "parity-report" / "summary.md").read_text()


class TestAlteredFile:
    @pytest.fixture(scope="class")
    @classmethod
    def done(cls, tmp_path_factory: pytest.TempPathFactory) -> Finished:
        made = project(tmp_path_factory.mktemp("altered"))
        export(made, epsilon)
        return made.run(diagnose="always")

    def test_results_have_the_place_by_its_names(self, done: Finished) -> None:
        diagnosis = outputs(done)["maps"]["diagnosis"]

        assert done.status == 1
        assert diagnosis["dominant_leg"] == "export"
        place = diagnosis["first_divergence"]
        assert {name: place[name] for name in ("leg", "node", "op_type", "output", "module", "source")} == {
            "leg": "export",
            "node": "/body/body.2/BatchNormalization",
            "op_type": "BatchNormalization",
            "output": "/body/body.2/BatchNormalization_output_0",
            "module": "body.2",
            "source": BODY_LINE,
        }

    def test_results_have_the_cause_by_its_names(self, done: Finished) -> None:
        (cause,) = outputs(done)["maps"]["diagnosis"]["causes"]

        assert (cause["kind"], cause["leg"]) == ("attribute", "export")
        assert cause["share"] > 0.99
        assert cause["node"] == "/body/body.2/BatchNormalization"
        assert "epsilon is 0.1 in the file" in cause["message"]
        assert "export again" in cause["remedy"]

    def test_the_other_output_is_not_blamed(self, done: Finished) -> None:
        early = outputs(done)["early"]

        assert early["status"] == "passed"
        assert early["diagnosis"]["first_divergence"] is None
        assert set(kinds(early["diagnosis"])) == {"rounding"}

    def test_the_console_says_it(self, done: Finished) -> None:
        assert re.search(rf"starts at +body\.2 \(BatchNormalization, {BODY_LINE}\)", done.stdout)
        assert re.search(r"because +epsilon is 0\.1 in the file", done.stdout)


def test_a_tolerance_below_the_noise_is_rounding_and_nothing_is_blamed(tmp_path: Path) -> None:
    made = project(tmp_path)
    export(made)
    done = made.run(tolerances={"maps": {"atol": 1e-9}, "*": {"atol": 1e-5}}, diagnose="always")

    assert {name: output["status"] for name, output in outputs(done).items()} == {
        "maps": "failed",
        "early": "passed",
    }
    for output in outputs(done).values():
        assert output["diagnosis"]["first_divergence"] is None
        assert set(kinds(output["diagnosis"])) == {"rounding"}


def test_tf32_in_the_reference_is_named_where_it_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = project(tmp_path)
    export(made)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    (tmp_path / "model.py").write_text(HEAD + NET + IN_TF32)
    done = made.run()

    assert done.status == 1
    diagnosis = outputs(done)["maps"]["diagnosis"]
    assert diagnosis["dominant_leg"] == "reference"
    cause, place = diagnosis["causes"][0], diagnosis["first_divergence"]
    assert (cause["kind"], cause["leg"]) == ("tf32", "reference")
    assert cause["share"] >= 0.95
    assert "numerics: strict" in cause["remedy"]
    assert (place["leg"], place["module"], place["source"]) == ("reference", "stem", "model.py:13")


class TestGraphOptimizer:
    """ONNX Runtime merges zero padding into the max pool behind it, which pads with -infinity."""

    @pytest.fixture(scope="class")
    @classmethod
    def made(cls, tmp_path_factory: pytest.TempPathFactory) -> Project:
        made = project(
            tmp_path_factory.mktemp("pool"), POOL, (1, 1, 4, 4), distribution="uniform", low=1, high=2
        )
        nodes = [
            helper.make_node("Neg", ["x"], ["negative"]),
            helper.make_node("Pad", ["negative", "pads"], ["padded"], name="pad"),
            helper.make_node("MaxPool", ["padded"], ["pooled"], name="pool", kernel_shape=[3, 3]),
        ]
        values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 1, 4, 4]) for n in ("x", "pooled")]
        pads = numpy_helper.from_array(np.array([0, 0, 1, 1, 0, 0, 1, 1]), "pads")
        graph = helper.make_graph(nodes, "graph", values[:1], values[1:], [pads])
        opset = helper.make_opsetid("", 17)
        onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=9), made.root / "model.onnx")
        return made

    @pytest.fixture(scope="class")
    @classmethod
    def diagnosis(cls, made: Project) -> dict[str, Any]:
        done = made.run(onnxruntime={"optimization": "all"})
        assert done.status == 1
        found: dict[str, Any] = outputs(done)["pooled"]["diagnosis"]
        return found

    def test_it_is_named(self, diagnosis: dict[str, Any]) -> None:
        assert diagnosis["dominant_leg"] == "runtime"
        assert kinds(diagnosis) == ["graph-optimizer"]
        assert "Pad_Fusion" in diagnosis["causes"][0]["message"]
        assert diagnosis["causes"][0]["share"] > 0.99

    def test_the_place_is_that_of_the_module(self, diagnosis: dict[str, Any]) -> None:
        place = diagnosis["first_divergence"]

        assert (place["leg"], place["node"], place["module"]) == ("runtime", "pool", "pool")
        assert place["source"] == "model.py:9"

    def test_the_remedy_makes_the_gate_pass(self, made: Project, diagnosis: dict[str, Any]) -> None:
        remedy = diagnosis["causes"][0]["remedy"].split(", or ")[0]
        done = made.run(**yaml.safe_load(remedy), numerics="default")

        assert "Pad_Fusion" in remedy
        assert done.status == 0


class TestOtherShape:
    @pytest.fixture(scope="class")
    @classmethod
    def made(cls, tmp_path_factory: pytest.TempPathFactory) -> Project:
        """The module has got padding since its export."""
        made = project(tmp_path_factory.mktemp("shape"))
        export(made)
        (made.root / "model.py").write_text(HEAD + NET.replace("(8, 4, 3)", "(8, 4, 3, padding=1)"))
        return made

    @pytest.fixture(scope="class")
    @classmethod
    def done(cls, made: Project) -> Finished:
        return made.run()

    def test_it_has_a_place_and_a_cause_and_no_total(self, done: Finished) -> None:
        diagnosis = outputs(done)["maps"]["diagnosis"]

        assert done.status == 1
        assert diagnosis["budget"]["total"] is None
        assert diagnosis["budget"]["export_error"] is None
        assert diagnosis["dominant_leg"] == "export"
        assert diagnosis["first_divergence"]["module"] == "body.3"
        assert kinds(diagnosis) == ["attribute"]
        assert "pads is [0, 0, 0, 0] in the file" in diagnosis["causes"][0]["message"]
        assert outputs(done)["early"]["status"] == "passed"

    def test_every_report_says_it(self, made: Project, done: Finished) -> None:
        assert "the reference has the shape [2, 4, 12, 12]" in done.stdout
        assert re.search(rf"starts at +body\.3 \(Conv, {BODY_LINE}\)", done.stdout)
        assert re.search(r"because +pads is", done.stdout)
        assert "<code>body.3</code>" in summary(made)
        for text in (done.stdout, summary(made), (made.root / "parity-report" / "junit.xml").read_text()):
            assert "None" not in text
            assert "Traceback" not in text
