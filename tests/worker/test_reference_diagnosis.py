"""The error budget of real modules and the files they were exported to, faults planted in either."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import ModelProto, numpy_helper
from support.diagnosis import ask, diagnosed, diagnosed_without_runtime, run_candidate
from support.graphs import model, node, value
from support.reference import Project, unable

from parity.records.diagnosis import Diagnosis
from parity.records.jobs import MODEL, Numerics
from parity.records.requests import Diagnose
from parity.worker import numerics

X = np.random.default_rng(0).standard_normal((2, 3, 16, 16)).astype(np.float32)
ROWS = np.random.default_rng(1).standard_normal((4, 64)).astype(np.float32)

SOUND = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        norm = nn.BatchNorm2d(8)
        norm.running_var.uniform_(0.01, 0.02)
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), norm, nn.Conv2d(8, 4, 3))
    def forward(self, x):
        y = self.body(x)
        return {"maps": y, "best": y.argmax(1)}
def build(): return Net()
"""

LINEAR = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(64, 16)
    def forward(self, x):
        {forward}
def build(): return Net()
"""


@pytest.fixture(autouse=True)
def _own_imports_and_settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "path", list(sys.path))
    with numerics.strict():
        yield


def rounding(found: Diagnosis) -> float:
    """The size that float32 rounding may have."""
    assert found.budget.total is not None
    return 1e-5 * max(found.budget.total, 1.0)


def epsilon(model: ModelProto) -> None:
    """The epsilon of the batch norm, ten thousand times too large."""
    (norm,) = (node for node in model.graph.node if node.op_type == "BatchNormalization")
    (attribute,) = (a for a in norm.attribute if a.name == "epsilon")
    attribute.f = 0.1


def weight(model: ModelProto) -> None:
    """One weight of the last convolution is off."""
    (tensor,) = (t for t in model.graph.initializer if t.name == "body.3.weight")
    values = numpy_helper.to_array(tensor).copy()
    values[0, 0, 0, 0] += 0.25
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def linear(model: ModelProto) -> None:
    """The linear layer of the module, in float32."""
    torch.manual_seed(0)
    layer = torch.nn.Linear(64, 16)
    (x,), (y,) = model.graph.input, model.graph.output
    del model.graph.node[:], model.graph.initializer[:]
    model.graph.node.append(node("Gemm", f"{x.name} weight bias", y.name, transB=1))
    model.graph.initializer.extend(
        numpy_helper.from_array(parameter.detach().numpy(), name)
        for name, parameter in layer.named_parameters()
    )


class TestExport:
    @pytest.mark.parametrize("fault", [epsilon, weight])
    def test_a_fault_of_the_file_is_the_export_leg(self, tmp_path: Path, fault: object) -> None:
        found = diagnosed(Project(tmp_path, SOUND), alter=fault, x=X)["maps"]  # type: ignore[arg-type]

        assert found.dominant_leg == "export"
        assert found.dominance is not None
        assert found.dominance > 1e3
        assert found.budget.total > 1e-2
        assert found.budget.export_error == pytest.approx(found.budget.total, rel=1e-3)
        assert found.budget.unknown == {}
        for leg in (found.budget.reference_rounding, found.budget.runtime_error):
            assert leg is not None
            assert 0 < leg < rounding(found)

    def test_a_sound_file_has_next_to_no_export_error(self, tmp_path: Path) -> None:
        both = diagnosed(Project(tmp_path, SOUND), x=X)
        found = both["maps"]

        assert found.budget.export_error is not None
        assert found.budget.export_error < 1e-6
        assert found.dominant_leg != "export"
        assert found.budget.repeatability == 0.0
        assert both["best"].budget.export_error == 0.0

    def test_the_model_is_afterwards_what_it_was(self, tmp_path: Path) -> None:
        project = Project(tmp_path, SOUND)
        diagnosed(project, x=X)
        (before,), (after,) = project.run("1", x=X).calls, project.run("2", x=X).calls

        request = {"component": MODEL, "outputs": ("maps", "best"), "repeated": "it did not run again"}
        again = ask(
            project, Diagnose(call=before, reference=before.outputs, candidate=after.outputs, **request)
        )
        assert again["maps"].budget.total == 0.0


class TestReference:
    def test_low_precision_of_the_module_is_reference_rounding(self, tmp_path: Path) -> None:
        lowly = "with torch.autocast('cpu', torch.bfloat16):\n            y = self.linear(x)"
        project = Project(tmp_path, LINEAR.format(forward=f"{lowly}\n        return y.float()"))

        (found,) = diagnosed(project, alter=linear, x=ROWS).values()

        assert found.dominant_leg == "reference"
        assert found.budget.reference_rounding == pytest.approx(found.budget.total, rel=1e-2)
        assert found.budget.total > 1e-3

    def test_the_noise_floor_is_that_of_strict_numerics(self, tmp_path: Path) -> None:
        lenient = "not torch.backends.cudnn.deterministic"  # stands for a backend that has a faster kernel
        forward = f"with torch.autocast('cpu', torch.bfloat16, enabled={lenient}):\n"
        forward += "            y = self.linear(x)\n        return y.float()"
        project = Project(tmp_path, LINEAR.format(forward=forward))

        settings = Numerics(grad=False, cudnn_deterministic=False)
        (found,) = diagnosed(project, alter=linear, numerics=settings, x=ROWS).values()

        assert found.budget.noise_floor is not None
        assert found.budget.reference_rounding is not None
        assert 0 < found.budget.noise_floor < 1e-5
        assert found.budget.reference_rounding > 1e-3
        assert torch.backends.cudnn.deterministic is False  # as the suite has it

    def test_active_dropout_shows_as_repeatability_and_makes_float64_meaningless(
        self, tmp_path: Path
    ) -> None:
        project = Project(tmp_path, LINEAR.format(forward="return nn.functional.dropout(self.linear(x))"))

        (found,) = diagnosed(project, x=ROWS).values()

        assert found.budget.repeatability is not None
        assert found.budget.repeatability > 0.1
        assert found.dominant_leg == "repeatability"
        for leg in ("reference_rounding", "export_error", "noise_floor"):
            assert getattr(found.budget, leg) is None
            assert "draws random numbers" in found.budget.unknown[leg]

    def test_a_module_that_keeps_count_does_not_repeat_itself(self, tmp_path: Path) -> None:
        counting = "self.n = getattr(self, 'n', 0) + 1\n        return self.linear(x) * self.n"
        project = Project(tmp_path, LINEAR.format(forward=counting))

        (found,) = diagnosed(project, x=ROWS).values()

        assert found.budget.repeatability is not None
        assert found.budget.repeatability > 0.1

    @pytest.mark.parametrize(
        ("forward", "reason"),
        [
            ("return self.linear(x) if once() else sys.exit(3)", "sys.exit(3)"),
            ("return self.linear(x) if once() else 1 / 0", "ZeroDivisionError"),
            ("return self.linear(x) if once() else torch.empty(1 << 50)", "allocate memory"),
            ("return self.linear(x) if once() else {'other': x}", "'output'"),
            ("return self.linear(x) if once() else x", "different shapes"),
        ],
    )
    def test_whatever_stops_the_module_is_the_reason(self, tmp_path: Path, forward: str, reason: str) -> None:
        source = "import sys, itertools\ncalls = itertools.count()\ndef once(): return next(calls) < 2\n"
        project = Project(tmp_path, source + LINEAR.format(forward=forward))

        (found,) = diagnosed(project, x=ROWS).values()

        assert reason in found.budget.unknown["reference_rounding"]
        assert reason in found.budget.unknown["repeatability"]
        assert found.budget.runtime_error is not None
        assert found.budget.runtime_error < 1e-5


class TestCandidate:
    def test_an_operator_without_float64_leaves_its_legs_unknown(self, tmp_path: Path) -> None:
        twist = node("mine:Twist", "x", "z")
        custom = model([twist, node("Relu", "z", "y")], [value("x", shape=["n", 64])], ["y"])
        project = Project(tmp_path, LINEAR.format(forward="return self.linear(x)"))
        budget = diagnosed_without_runtime(project, custom, x=ROWS)["y"].budget

        assert budget.export_error is budget.runtime_error is None
        assert "Twist" in budget.unknown["export_error"]
        assert budget.unknown["repeatability"] == "the candidate did not run again"
        assert budget.reference_rounding is not None
        assert 0 < budget.reference_rounding < 1e-5

    def test_a_damaged_file_leaves_its_legs_unknown(self, tmp_path: Path) -> None:
        project = Project(tmp_path, SOUND)
        project.load()
        (call,) = project.run(x=X).calls
        Path(project.export().path).write_bytes(b"no model")

        request = Diagnose(
            component=MODEL,
            call=call,
            outputs=("maps", "best"),
            reference=call.outputs,
            candidate=call.outputs,
            repeated=call.outputs,
        )
        found = ask(project, request)["maps"].budget
        assert set(found.unknown) == {"export_error", "runtime_error"}
        assert found.reference_rounding is not None

    def test_outputs_that_differ_between_runs_are_not_repeatable(self, tmp_path: Path) -> None:
        project = Project(tmp_path, SOUND)
        project.load()
        (call,) = project.run(x=X).calls
        project.export()
        first = run_candidate(project, call, "first")
        (other,) = project.run("1", x=X * 2).calls

        request = Diagnose(
            component=MODEL,
            call=call,
            outputs=("maps", "best"),
            reference=call.outputs,
            candidate=first,
            repeated=other.outputs,
        )
        found = ask(project, request)["maps"].budget
        assert found.repeatability is not None
        assert found.repeatability > 0.1


class TestPipeline:
    PIPELINE = "def run(stages, inputs):\n    return stages['net'](inputs['x'] * 2)\n"

    def test_outputs_have_their_onnx_names_and_may_be_some_of_them(self, tmp_path: Path) -> None:
        project = Project(tmp_path, SOUND)
        project.write("chain.py", self.PIPELINE)
        component = project.component("net", outputs={"logits": "maps"})
        project.load(component, pipeline="chain.py:run")
        (call,) = project.run(x=X).calls
        project.export("net")
        assert [record.name for record in call.outputs] == ["logits", "best"]

        request = Diagnose(
            component="net",
            call=call,
            outputs=("logits",),
            reference=call.outputs[:1],
            candidate=call.outputs[:1],
            repeated=call.outputs[:1],
        )
        found = ask(project, request)
        assert set(found) == {"logits"}
        assert found["logits"].budget.export_error is not None
        assert found["logits"].budget.export_error < 1e-6
        assert found["logits"].budget.repeatability == 0.0

    def test_a_component_that_is_not_there_is_a_defect(self, tmp_path: Path) -> None:
        project = Project(tmp_path, SOUND)
        project.load()
        (call,) = project.run(x=X).calls
        request = Diagnose(component="other", call=call, outputs=(), reference=(), candidate=(), repeated=())

        assert unable(lambda: project.side.handle(request)).reason == "tool"
