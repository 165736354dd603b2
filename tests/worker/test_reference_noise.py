"""Noise floors of component calls and of whole pipelines, against float64 computed by hand."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from support.reference import Project, unable, values

from parity.artifacts import Array
from parity.records.jobs import MODEL, Numerics
from parity.records.outcomes import NoiseFloors, Ran
from parity.records.requests import MeasureNoise
from parity.worker import numerics

ROWS = np.random.default_rng(1).standard_normal((4, 64)).astype(np.float32)

LINEAR = """
class Net(nn.Module):
    def __init__(self, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.linear = nn.Linear(64, 64)
    def forward(self, x):
        {forward}
def build(): return Net()
def build_second(): return Net(1)
"""
PLAIN = LINEAR.format(forward='y = self.linear(x)\n        return {"y": y, "best": y.argmax(1)}')
ONE = LINEAR.format(forward="return self.linear(x)")

# The glue has constants of its own in float32, a NumPy part and a cast.
GLUE = """
import numpy as np
import torch

SCALE = torch.arange(64.0) / 100
MIX = torch.eye(64) + 0.01

def run(stages, inputs):
    first = stages["first"](inputs["x"])["output"]
    assert first.dtype is torch.float32
    mixed = (first * SCALE).float() @ MIX
    {glue}
    return {{"y": stages["second"](mixed)["output"], "first": first}}
"""


@pytest.fixture(autouse=True)
def _own_imports_and_settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "path", list(sys.path))
    with numerics.strict():
        yield


def linear64(seed: int, x: Array) -> Array:
    """The layer of the module in float64."""
    torch.manual_seed(seed)
    layer = torch.nn.Linear(64, 64)
    weight, bias = (parameter.detach().numpy().astype(np.float64) for parameter in layer.parameters())
    return x.astype(np.float64) @ weight.T + bias


def floors(project: Project, component: str | None, ran: Ran, **inputs: Array) -> dict[str, float | str]:
    """What the reference's side answers about the first call of a component, or about the chain."""
    if component is None:
        assert ran.outputs is not None
        request = MeasureNoise(component=None, inputs=project.inputs(inputs).tensors, outputs=ran.outputs)
    else:
        call = next(call for call in ran.calls if call.component == component)
        request = MeasureNoise(component=component, inputs=call.inputs, outputs=call.outputs)
    answer = project.side.handle(request)
    assert isinstance(answer, NoiseFloors)
    assert answer.seconds > 0
    return answer.floors


def of_model(root: Path, source: str, settings: Numerics | None = None) -> dict[str, float | str]:
    project = Project(root, source)
    project.load(numerics=settings)
    return floors(project, MODEL, project.run(x=ROWS))


def chain(root: Path, glue: str = "pass", source: str = ONE) -> tuple[Project, Ran]:
    """Two linear layers with glue between them, loaded and run."""
    project = Project(root, source)
    project.write("glue.py", GLUE.format(glue=glue))
    first = project.component("first")
    second = project.component("second", target="model.py:build_second")
    project.load(first, second, pipeline="glue.py:run")
    return project, project.run(x=ROWS)


class TestCall:
    def test_it_is_the_distance_to_the_result_in_float64(self, tmp_path: Path) -> None:
        project = Project(tmp_path, PLAIN)
        project.load()
        ran = project.run(x=ROWS)

        found = floors(project, MODEL, ran)

        y = values(ran.calls[0].outputs)["y"]
        assert found["y"] == pytest.approx(np.abs(y - linear64(0, ROWS)).max(), rel=1e-6)
        assert 0 < float(found["y"]) < 1e-6
        assert found["best"] == 0.0

    def test_it_is_that_of_strict_numerics(self, tmp_path: Path) -> None:
        lenient = "not torch.backends.cudnn.deterministic"  # stands for a backend that has a faster kernel
        forward = f"with torch.autocast('cpu', torch.bfloat16, enabled={lenient}):\n"
        forward += "            y = self.linear(x)\n        return y.float()"
        settings = Numerics(grad=False, cudnn_deterministic=False)
        found = of_model(tmp_path, LINEAR.format(forward=forward), settings)
        assert 0 < float(found["output"]) < 1e-6

    def test_the_model_is_afterwards_what_it_was_and_can_be_exported(self, tmp_path: Path) -> None:
        project = Project(tmp_path, ONE)
        project.load()
        before = project.run("0", x=ROWS)
        floors(project, MODEL, before)
        after = project.run("1", x=ROWS)
        assert values(before.calls[0].outputs)["output"].tobytes() == (
            values(after.calls[0].outputs)["output"].tobytes()
        )
        assert Path(project.export().path).exists()

    @pytest.mark.parametrize(
        ("forward", "reason"),
        [
            ("return self.linear(x + torch.rand(1))", "aten.rand.default draws random numbers"),
            ("return self.linear(x).detach().numpy().astype('float32')", "NumPy array"),
            (
                "return self.linear(x) if torch.get_default_dtype() is torch.float32 else sys.exit(3)",
                "sys.exit",
            ),
            (
                "assert torch.get_default_dtype() is torch.float32\n        return self.linear(x)",
                "AssertionError in float64",
            ),
            (
                "y = self.linear(x)\n        "
                "return y if torch.get_default_dtype() is torch.float32 else {'z': y}",
                "has no 'output'",
            ),
            (
                "y = self.linear(x)\n        "
                "return y if torch.get_default_dtype() is torch.float32 else y[:2]",
                "different shapes",
            ),
            (
                "y = self.linear(x)\n        "
                "return y if torch.get_default_dtype() is torch.float32 else y / 0",
                "NaN or infinite",
            ),
        ],
        ids=["random", "numpy", "exit", "raise", "path", "shape", "infinite"],
    )
    def test_what_cannot_be_measured_has_a_reason(self, tmp_path: Path, forward: str, reason: str) -> None:
        found = of_model(tmp_path, f"import sys\n{LINEAR.format(forward=forward)}")
        assert isinstance(found["output"], str)
        assert reason in found["output"]

    def test_a_module_in_float64_cannot_show_its_own_rounding(self, tmp_path: Path) -> None:
        source = ONE.replace("nn.Linear(64, 64)", "nn.Linear(64, 64).double()")
        project = Project(tmp_path, source)
        project.load()
        found = floors(project, MODEL, project.run(x=ROWS.astype(np.float64)))
        assert found["output"] == "the model computes in float64 itself, which can't show its own rounding"

    def test_a_component_that_is_not_there_is_refused(self, tmp_path: Path) -> None:
        project = Project(tmp_path, ONE)
        project.load()
        for component in ("absent", None):
            request = MeasureNoise(component=component, inputs=(), outputs=())
            assert unable(lambda request=request: project.side.handle(request)).reason == "tool"  # type: ignore[misc]


class TestChain:
    @pytest.mark.parametrize(
        "glue",
        [
            "pass",
            "mixed = torch.from_numpy(mixed.numpy() * np.float32(1))",
            "mixed = torch.cat([mixed[:, :32], mixed[:, 32:].to(inputs['x'].dtype)], 1)",
            "out = torch.zeros(4, 64); out[:] = mixed; mixed = out",
        ],
        ids=["torch", "numpy", "cat", "in-place"],
    )
    def test_the_glue_computes_in_float64_as_well(self, tmp_path: Path, glue: str) -> None:
        project, ran = chain(tmp_path, glue)

        found = floors(project, None, ran, x=ROWS)

        scale = np.arange(64, dtype=np.float32) / np.float32(100)
        mix = np.eye(64, dtype=np.float32) + np.float32(0.01)
        first = linear64(0, ROWS)
        exact = linear64(1, first * scale @ mix.astype(np.float64))
        outputs = values(ran.outputs)
        assert found["first"] == pytest.approx(np.abs(outputs["first"] - first).max(), rel=1e-6)
        assert found["y"] == pytest.approx(np.abs(outputs["y"] - exact).max(), rel=1e-6)
        assert 0 < float(found["y"]) < 1e-5

    def test_a_component_of_it_has_a_floor_of_its_own_by_its_onnx_name(self, tmp_path: Path) -> None:
        project, ran = chain(tmp_path)
        call = next(call for call in ran.calls if call.component == "second")
        found = floors(project, "second", ran)
        exact = linear64(1, values(call.inputs)["x"])
        assert found == {
            "output": pytest.approx(np.abs(values(call.outputs)["output"] - exact).max(), rel=1e-6)
        }

    def test_the_pipeline_is_afterwards_what_it_was(self, tmp_path: Path) -> None:
        project, before = chain(tmp_path, "SCALE.mul_(1.0)")
        floors(project, None, before, x=ROWS)
        after = project.run("1", x=ROWS)
        assert {k: v.tobytes() for k, v in values(before.outputs).items()} == {
            k: v.tobytes() for k, v in values(after.outputs).items()
        }

    @pytest.mark.parametrize(
        ("glue", "reason"),
        [
            ("mixed = mixed + torch.rand(1)", "aten.rand.default draws random numbers"),
            (
                "assert torch.get_default_dtype() is torch.float32, 'glue'",
                "AssertionError in float64 at aten.mm.default: glue",
            ),
            (
                "stages['absent'] if torch.get_default_dtype() is torch.float64 else None",
                "asks for the stage 'absent'",
            ),
        ],
        ids=["random", "raise", "stage"],
    )
    def test_what_cannot_be_measured_has_a_reason(self, tmp_path: Path, glue: str, reason: str) -> None:
        project, ran = chain(tmp_path, glue)
        for found in floors(project, None, ran, x=ROWS).values():
            assert isinstance(found, str)
            assert reason in found

    def test_a_stage_that_fails_in_float64_is_not_hidden_by_the_pipeline(self, tmp_path: Path) -> None:
        failing = "assert torch.get_default_dtype() is torch.float32, 'stage'\n        return self.linear(x)"
        glue = "\n    ".join(
            [
                "try:",
                "    stages['first'](inputs['x'])",
                "except Exception:",
                "    pass",
                "first = mixed = SCALE",
            ]
        )
        source = LINEAR.format(forward=failing)
        project = Project(tmp_path, source)
        body = f"import torch\nSCALE = torch.ones(4, 64)\ndef run(stages, inputs):\n    {glue}\n"
        project.write("glue.py", f"{body}    return {{'y': mixed}}\n")
        project.load(project.component("first"), pipeline="glue.py:run")
        found = floors(project, None, project.run(x=ROWS), x=ROWS)
        assert isinstance(found["y"], str)
        assert "AssertionError in float64" in found["y"]
        assert "stage" in found["y"]
