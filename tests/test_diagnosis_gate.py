"""The error budget from the outside: which outputs get one, and that it never changes a verdict."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.projects import FEATURES, Finished, Project, write_onnx

IN_FLOAT64 = "torch.get_default_dtype() is torch.float64"
KILLED_IN_FLOAT64 = f"({IN_FLOAT64}) and os.kill(os.getpid(), 9)"

# Each process counts its own calls: the candidate's second run is the only second one.
CHAIN = """\
import os

calls = []

def run(stages, inputs):
    calls.append(None)
    if {dies_on_second} and len(calls) == 2:
        os._exit(9)
    first = stages["first"](inputs["x"])["y"]
    return {{"y": stages["second"](first @ first.new_ones(3, 4))["y"]}}
"""

LEGS = {"reference_rounding", "export_error", "runtime_error", "repeatability", "noise_floor"}


def diagnoses(done: Finished) -> dict[str, Any]:
    """Case -> the diagnosis of its output y."""
    return {
        name.removeprefix("small/cpu/"): case["outputs"][0]["diagnosis"] for name, case in done.cases.items()
    }


def chain(
    root: Path,
    *,
    shifts: tuple[float, float] = (0.25, 0.5),
    dies_on_second: bool = False,
    diagnose: str = "on-failure",
    **model: str,
) -> Finished:
    """Two components of the same module, and by how much the bias of their files is off."""
    project = Project(root, **model)
    (root / "chain.py").write_text(CHAIN.format(dies_on_second=dies_on_second))
    components = {}
    for name, shift in zip(("first", "second"), shifts, strict=True):
        write_onnx(root / f"{name}.onnx", bias_shift=shift)
        model_of = {"loader": "python", "target": "model.py:build"}
        components[name] = {
            "model": model_of,
            "onnx": f"{name}.onnx",
            "tolerances": project.spec["tolerances"],
        }
    return project.run(
        model=None, onnx=None, components=components, pipeline="chain.py:run", diagnose=diagnose
    )


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A file with a fault that two of three input sets show, `b-alive` beyond its tolerance by more."""
    project = Project(tmp_path_factory.mktemp("faulty"))
    write_onnx(project.root / "model.onnx", bias_shift=0.01)
    (project.root / "samples").mkdir()
    rows = {
        "a-dead": np.full((2, FEATURES), -10, np.float32),  # the ReLU hides it
        "b-alive": np.ones((2, FEATURES), np.float32),
        "c-alive": np.full((2, FEATURES), 2, np.float32),
    }
    for name, x in rows.items():
        np.savez(project.root / "samples" / f"{name}.npz", x=x)
    tolerances = {"*": {"atol": 1e-5, "rtol": 1e-3}}  # the larger the values, the smaller the factor
    return project.run(inputs={"files": "samples/*.npz"}, tolerances=tolerances)


class TestFaultyFile:
    def test_the_verdict_stands(self, done: Finished) -> None:
        assert done.status == 1
        assert [case["status"] for case in done.results["cases"]] == ["passed", "failed", "failed"]

    def test_the_worst_input_set_is_diagnosed_and_no_other(self, done: Finished) -> None:
        found = {done_id.split("/")[0]: given for done_id, given in diagnoses(done).items()}

        assert found["a-dead"] is None
        assert found["b-alive"] is not None
        assert found["c-alive"] is None

    def test_the_fault_of_the_file_is_the_export_leg(self, done: Finished) -> None:
        output = done.case("b-alive")["outputs"][0]
        diagnosis, budget = output["diagnosis"], output["diagnosis"]["budget"]

        assert diagnosis["dominant_leg"] == "export"
        assert budget["total"] == pytest.approx(output["max_abs"]) == pytest.approx(0.01, rel=1e-3)
        assert budget["export_error"] == pytest.approx(0.01, rel=1e-3)
        assert budget["reference_rounding"] < 1e-6
        assert budget["runtime_error"] < 1e-6
        assert budget["repeatability"] == 0.0
        assert budget["noise_floor"] == budget["reference_rounding"]
        assert budget["unknown"] == {}

    def test_progress_says_what_is_going_on(self, done: Finished) -> None:
        assert "budget of model" in done.stderr


def test_never_leaves_it_out(tmp_path: Path) -> None:
    project = Project(tmp_path)
    write_onnx(tmp_path / "model.onnx", bias_shift=0.01)
    done = project.run(diagnose="never")

    assert done.status == 1
    assert set(diagnoses(done).values()) == {None}
    assert "budget of" not in done.stderr


def test_always_has_a_budget_of_what_passed(tmp_path: Path) -> None:
    done = Project(tmp_path).run(diagnose="always")

    assert done.status == 0
    (diagnosis,) = diagnoses(done).values()
    assert diagnosis["budget"]["export_error"] < 1e-6
    assert diagnosis["budget"]["unknown"] == {}
    assert diagnosis["first_divergence"] is None
    assert {cause["kind"] for cause in diagnosis["causes"]} <= {"rounding"}


def test_a_worker_that_dies_in_the_diagnosis_changes_no_verdict(tmp_path: Path) -> None:
    project = Project(tmp_path, before=KILLED_IN_FLOAT64)
    write_onnx(tmp_path / "model.onnx", bias_shift=0.01)
    done = project.run()

    assert done.status == 1
    (output,) = done.results["cases"][0]["outputs"]
    assert output["status"] == "failed"
    assert output["diagnosis"]["dominant_leg"] is None
    budget = output["diagnosis"]["budget"]
    assert budget["total"] == output["max_abs"]
    assert set(budget["unknown"]) == LEGS
    assert all("SIGKILL" in reason for reason in budget["unknown"].values())
    assert all(budget[leg] is None for leg in LEGS)


def test_components_are_diagnosed_and_the_chain_is_not(tmp_path: Path) -> None:
    done = chain(tmp_path)

    assert done.status == 1
    found = diagnoses(done)
    assert found["sample=0/pipeline"] is None
    for name, shift in (("first", 0.25), ("second", 0.5)):
        diagnosis = found[f"sample=0/{name}"]
        assert diagnosis["dominant_leg"] == "export"
        assert diagnosis["budget"]["export_error"] == pytest.approx(shift, rel=1e-3)
        assert diagnosis["budget"]["repeatability"] == 0.0


def test_the_sound_component_of_a_chain_is_not_blamed(tmp_path: Path) -> None:
    done = chain(tmp_path, shifts=(0.0, 0.5), diagnose="always")

    first, second = (diagnoses(done)[f"sample=0/{name}"] for name in ("first", "second"))
    assert done.status == 1
    assert first["first_divergence"] is None
    assert {cause["kind"] for cause in first["causes"]} <= {"rounding"}
    assert second["first_divergence"]["module"] == "linear"
    (cause,) = second["causes"]
    assert (cause["kind"], cause["tensor"]) == ("initializer", "bias")
    assert "0.5 too large" in cause["message"]


def test_a_candidate_that_dies_in_its_second_run_costs_one_figure(tmp_path: Path) -> None:
    done = chain(tmp_path, dies_on_second=True)

    assert done.status == 1
    for name in ("first", "second"):
        diagnosis = diagnoses(done)[f"sample=0/{name}"]
        assert set(diagnosis["budget"]["unknown"]) == {"repeatability"}
        assert "status 9" in diagnosis["budget"]["unknown"]["repeatability"]
        assert diagnosis["dominant_leg"] == "export"


def test_a_death_leaves_the_other_components_their_budget(tmp_path: Path) -> None:
    # Only the first component's calls have inputs of both signs.
    done = chain(tmp_path, before=f"({IN_FLOAT64}) and bool((x < 0).any()) and os.kill(os.getpid(), 9)")

    found = diagnoses(done)
    assert done.status == 1
    assert set(found["sample=0/first"]["budget"]["unknown"]) == LEGS
    assert found["sample=0/second"]["dominant_leg"] == "export"
    assert found["sample=0/second"]["budget"]["unknown"] == {}


def test_the_command_line_outranks_the_specification(tmp_path: Path) -> None:
    done = Project(tmp_path).run("--diagnose", "always", diagnose="never")
    assert done.status == 0
    (output,) = done.results["cases"][0]["outputs"]
    assert output["diagnosis"]["budget"]["export_error"] < 1e-6
