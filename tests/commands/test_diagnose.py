"""`parity diagnose` as a user runs it: the gate's verdict, and the budget of every output."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.projects import FEATURES, Finished, Project, run_parity, write_onnx


def diagnose(project: Project, *arguments: str, **changes: object) -> Finished:
    """`parity diagnose parity.yml` with a specification that asks for no diagnosis."""
    project.write_spec(**{"diagnose": "never", **changes})
    return run_parity("diagnose", "parity.yml", *arguments, cwd=project.root)


def text(done: Finished) -> str:
    """The console's words without its columns and rules."""
    return " ".join(done.stdout.replace("│", " ").split())


def test_what_passed_has_its_budget_on_the_console(tmp_path: Path) -> None:
    done = diagnose(Project(tmp_path))

    assert done.status == 0
    (output,) = done.results["cases"][0]["outputs"]
    assert output["status"] == "passed"
    assert output["diagnosis"]["budget"]["export_error"] < 1e-6
    assert output["diagnosis"]["budget"]["unknown"] == {}
    for words in ("reference rounding", "export", "runtime", "noise floor of"):
        assert words in text(done)
    assert "1 output within tolerance" in text(done)


def test_what_failed_has_its_budget_and_the_gates_exit_status(tmp_path: Path) -> None:
    project = Project(tmp_path)
    write_onnx(tmp_path / "model.onnx", bias_shift=0.01)

    done = diagnose(project)

    assert done.status == 1
    (output,) = done.results["cases"][0]["outputs"]
    assert output["diagnosis"]["dominant_leg"] == "export"
    assert "export error" in text(done)
    assert "1 of 1 output beyond tolerance" in text(done)


def test_what_cannot_be_judged_has_the_gates_exit_status(tmp_path: Path) -> None:
    done = diagnose(Project(tmp_path, before="raise ValueError('broken')"))
    assert done.status == 3
    assert "broken" in text(done)


def test_it_takes_the_options_of_the_gate(tmp_path: Path) -> None:
    project = Project(tmp_path)
    (tmp_path / "samples").mkdir()
    for name in ("a", "b"):
        np.savez(tmp_path / "samples" / f"{name}.npz", x=np.ones((2, FEATURES), np.float32))

    done = diagnose(
        project,
        *("--case", "small/cpu/b/*", "--report-dir", "parity-report", "--keep", "kept", "--devices", "cpu"),
        inputs={"files": "samples/*.npz"},
    )

    assert done.status == 0
    (case,) = done.results["cases"]
    assert case["input_set"] == "b"
    assert case["outputs"][0]["diagnosis"] is not None
    assert list((tmp_path / "kept").iterdir())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("absent.yml",), "there is no such file"),
        (("--diagnose", "never", "a.yml"), "unrecognized arguments"),
    ],
)
def test_what_is_asked_wrongly_is_answered_before_anything_runs(
    tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    done = run_parity("diagnose", *arguments, cwd=tmp_path)
    assert done.status == 2
    assert said in done.stderr
    assert not (tmp_path / "parity-report").exists()
