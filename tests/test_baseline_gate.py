"""Baselines from end to end: `parity run` in a process of its own writes one and is held against it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.projects import Finished, Project, run_parity, write_onnx

LOOSE = {"*": {"atol": 1e-2}}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A sound model with its baseline; then a fault that its tolerance lets pass."""
    project = Project(tmp_path_factory.mktemp("baseline"))
    done = project.run("--write-baseline", "base.json", tolerances=LOOSE, baseline="base.json")
    assert done.status == 0, done.stdout + done.stderr
    assert "baseline written to base.json" in done.stdout
    write_onnx(project.root / "model.onnx", bias_shift=1e-3)
    return project


@pytest.fixture(scope="module")
def grown(project: Project) -> Finished:
    return project.run(tolerances=LOOSE, baseline="base.json")


def test_growth_within_tolerance_is_told_with_its_cause_and_passes(grown: Finished) -> None:
    assert grown.status == 0
    (output,) = grown.cases["small/cpu/sample=0/model"]["outputs"]
    assert output["growth"]["state"] == "grown"
    assert output["growth"]["factor"] > 1000
    assert output["diagnosis"]["causes"][0]["kind"] == "initializer"
    assert grown.results["suites"][0]["baseline"] == {"file": "base.json", "max_growth": 10.0, "fail": False}
    assert "1 output within tolerance, 1 grown since the baseline" in grown.stdout


def test_every_report_says_it(project: Project, grown: Finished) -> None:
    folder = project.root / "parity-report"
    assert "### Grown since the baseline" in (folder / "summary.md").read_text()
    assert "<h2>Grown since the baseline</h2>" in (folder / "report.html").read_text()
    assert "grown " in grown.stdout


def test_growth_fails_when_that_is_asked(project: Project) -> None:
    done = project.run("--fail-on-growth", "--diagnose", "never", tolerances=LOOSE, baseline="base.json")
    assert done.status == 1, done.stdout + done.stderr
    (output,) = done.cases["small/cpu/sample=0/model"]["outputs"]
    assert [check["criterion"] for check in output["checks"] if not check["passed"]] == ["growth"]
    assert "1 of 1 output grown since the baseline" in done.stdout
    junit = (project.root / "parity-report" / "junit.xml").read_text()
    assert '<failure type="beyond tolerance" message="grown ' in junit


def test_a_run_that_does_not_pass_writes_no_baseline(project: Project) -> None:
    before = (project.root / "base.json").read_bytes()
    options = ("--write-baseline", "base.json", "--diagnose", "never")
    done = project.run(*options, tolerances={"*": {"atol": 1e-6}})
    assert done.status == 1
    assert "no baseline is written" in done.stdout
    assert (project.root / "base.json").read_bytes() == before


def test_a_part_of_the_cases_makes_no_baseline(project: Project) -> None:
    done = project.run("--write-baseline", "part.json", "--case", "*/model", tolerances=LOOSE)
    assert done.status == 2
    assert "would lose the others" in done.stderr
    assert not (project.root / "part.json").exists()


@pytest.mark.parametrize("content", [None, "{}", '{"schema_version": 1, "cases": 3}'])
def test_a_file_that_is_missing_or_none_is_an_error_before_anything_runs(
    project: Project, content: str | None
) -> None:
    other = project.root / "other.json"
    other.unlink(missing_ok=True)
    if content is not None:
        other.write_text(content)
    project.write_spec(baseline={"path": "other.json", "fail": True})
    for command in ("check", "run"):
        done = run_parity(command, "parity.yml", cwd=project.root)
        assert done.status == 2
        assert "parity.yml:" in done.stderr
        assert "--write-baseline other.json" in done.stderr


def test_a_baseline_of_another_suite_can_not_let_growth_pass(project: Project, tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    text = (project.root / "base.json").read_text()
    other.write_text(text.replace("small/", "another/"))
    assert json.loads(other.read_text())["cases"]
    options = ("--baseline", str(other), "--diagnose", "never")
    done = project.run(*options, tolerances=LOOSE)
    assert done.status == 0
    assert "knows none of these outputs" in _unwrapped(done.stdout)
    done = project.run(*options, "--fail-on-growth", tolerances=LOOSE)
    assert done.status == 2
    assert "knows no output of these devices and inputs" in _unwrapped(done.stdout)


def _unwrapped(text: str) -> str:
    return " ".join(text.replace("│", "").split())
