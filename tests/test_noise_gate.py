"""Tolerances in multiples of the noise floor, from the outside: what passes, fails, and is not judged."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.projects import Finished, Project, write_onnx

IN_FLOAT64 = "torch.get_default_dtype() is torch.float64"
NOISE = {"*": {"noise_factor": 10}}
CHAIN = """\
def run(stages, inputs):
    first = stages["first"](inputs["x"])["y"]
    return {"y": stages["second"](first @ first.new_full((3, 4), 0.3))["y"]}
"""


def chain(root: Path, *, bias_shift: float = 0.0) -> Finished:
    """Two components of the same module; the pipeline alone is judged by its noise."""
    project = Project(root)
    (root / "chain.py").write_text(CHAIN)
    components = {}
    for name, shift in (("first", bias_shift), ("second", 0.0)):
        write_onnx(root / f"{name}.onnx", bias_shift=shift)
        components[name] = {
            "model": project.spec["model"],
            "onnx": f"{name}.onnx",
            "tolerances": {"*": {"atol": 1e-2}},
        }
    return project.run(
        model=None,
        onnx=None,
        components=components,
        pipeline="chain.py:run",
        tolerances=NOISE,
        diagnose="never",
    )


def test_a_sound_model_passes_and_every_report_has_the_limit(tmp_path: Path) -> None:
    done = Project(tmp_path).run(tolerances=NOISE)

    assert done.status == 0
    (output,) = done.results["cases"][0]["outputs"]
    floor = output["tolerance"]["noise_floor"]
    assert output["tolerance"]["noise_factor"] == 10
    assert 1e-9 < floor < 1e-5
    (check,) = output["checks"]
    assert (check["criterion"], check["passed"]) == ("noise", True)
    assert check["factor"] == pytest.approx(output["max_abs"] / (10 * floor))
    assert "10 x noise = " in done.stdout
    summary = (tmp_path / "parity-report" / "summary.md").read_text()
    assert "x noise" in summary.replace("\N{NO-BREAK SPACE}", " ").replace("&nbsp;", " ")


def test_a_fault_that_the_dtypes_defaults_let_pass_fails(tmp_path: Path) -> None:
    project = Project(tmp_path)
    write_onnx(tmp_path / "model.onnx", bias_shift=8e-6)
    assert project.run(tolerances=None, diagnose="never").status == 0

    done = project.run(tolerances=NOISE, diagnose="never")

    assert done.status == 1
    (output,) = done.results["cases"][0]["outputs"]
    assert output["status"] == "failed"
    assert output["max_abs"] > 10 * output["tolerance"]["noise_floor"]
    junit = (tmp_path / "parity-report" / "junit.xml").read_text()
    assert "10 x noise = " in junit


@pytest.mark.parametrize(
    ("stops", "reason"),
    [
        (f"assert not ({IN_FLOAT64}), 'not mine'", "AssertionError in float64"),
        (f"({IN_FLOAT64}) and os.kill(os.getpid(), 9)", "killed by SIGKILL"),
    ],
    ids=["raises", "dies"],
)
def test_without_a_noise_floor_nothing_is_judged_by_it(tmp_path: Path, stops: str, reason: str) -> None:
    project = Project(tmp_path, before=stops)
    inputs = {**project.spec["inputs"], "samples": 2}

    done = project.run(tolerances=NOISE, inputs=inputs)

    assert done.status == 3
    assert [case["status"] for case in done.results["cases"]] == ["error", "error"]
    for case in done.results["cases"]:
        (output,) = case["outputs"]
        assert output["status"] == "error"
        assert reason in output["problem"]
    assert reason in " ".join(done.stdout.replace("│", " ").split())


def test_a_fault_beside_an_unknown_floor_is_still_a_fault(tmp_path: Path) -> None:
    project = Project(tmp_path, before=f"assert not ({IN_FLOAT64})")
    write_onnx(tmp_path / "model.onnx", bias_shift=0.1)
    tolerances = {"*": {"noise_factor": 10, "atol": 1e-3}}

    done = project.run(tolerances=tolerances, diagnose="never")

    assert done.status == 1
    (output,) = done.results["cases"][0]["outputs"]
    assert output["status"] == "failed"
    assert "noise floor can't be measured" in output["problem"]


def test_what_user_code_keeps_of_the_evaluation_in_float64_changes_no_result(tmp_path: Path) -> None:
    # Whoever calls second decides the dtype of what is kept.
    calls = "calls = vars(torch).setdefault('calls', []); calls.append(None)"
    kept = "x = x + (vars(torch).setdefault('kept', torch.zeros(1)) if len(calls) > 1 else 0)"
    project = Project(tmp_path, before=f"{calls}; {kept}")
    inputs = {**project.spec["inputs"], "samples": 2}

    done = project.run(tolerances=NOISE, inputs=inputs, diagnose="never", performance={"runs": 1})

    assert done.status == 0
    assert [case["outputs"][0]["dtype"] for case in done.results["cases"]] == ["float32", "float32"]
    assert "noise floor of sample=1" in done.stderr


def test_a_chain_is_judged_by_the_noise_of_all_of_it(tmp_path: Path) -> None:
    done = chain(tmp_path)

    assert done.status == 0
    (first, second, pipeline) = done.results["cases"]
    assert pipeline["subject"] == "pipeline"
    assert 1e-9 < pipeline["outputs"][0]["tolerance"]["noise_floor"] < 1e-5
    for component in (first, second):  # whose tolerances need none
        assert component["outputs"][0]["tolerance"]["noise_floor"] is None


def test_a_small_fault_in_a_component_is_beyond_the_noise_of_the_chain(tmp_path: Path) -> None:
    done = chain(tmp_path, bias_shift=1e-3)

    assert done.status == 1
    assert [case["status"] for case in done.results["cases"]] == ["passed", "passed", "failed"]
