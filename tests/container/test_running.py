"""The image at work, as GitHub's runner or a person starts it."""

from __future__ import annotations

import json
import os
import subprocess
import time
import uuid
from pathlib import Path
from typing import Any

import pytest
from support.image import CALLER, Image, docker, give_to_caller, write_sound_spec
from support.wheels import write_wheel

from parity.reports import results as results_file

pytestmark = pytest.mark.container

REPORTS = {"junit.xml", "summary.md", "results.json", "report.html"}


def _mounts(workspace: Path, reports: Path, *more: str) -> tuple[str, ...]:
    volumes = (f"{workspace}:/workspace:ro", f"{reports}:/reports", *more)
    return tuple(part for volume in volumes for part in ("--volume", volume))


def _results(reports: Path) -> dict[str, Any]:
    """The results, which must be valid."""
    data = (reports / "results.json").read_bytes()
    results_file.parse(data, at="results.json")
    found = json.loads(data)
    assert isinstance(found, dict)
    return found


def test_the_sound_model_passes_and_the_broken_one_fails(
    image: Image, workspace: Path, reports: Path
) -> None:
    """A workspace of another user, read-only but for the folder that the export is written to; no network."""
    build = workspace / "build" / "small"
    for path in (build, *build.rglob("*")):
        give_to_caller(path)
    mounts = _mounts(workspace, reports, f"{build}:/workspace/build/small")
    done = image.run("parity.yml", "--report-dir", "/reports", options=mounts)
    assert done.returncode == 0, done.stdout + done.stderr
    assert _results(reports)["exit_code"] == 0
    if os.getuid() == 0:
        assert {path.name: path.stat().st_uid for path in reports.iterdir()} == dict.fromkeys(REPORTS, CALLER)

    write_sound_spec(workspace)  # on the files that were exported just now
    variables = ("--env", "PARITY_SPEC=sound.yml", "--env", "PARITY_REPORT_DIR=/reports")
    done = image.run(options=(*_mounts(workspace, reports), *variables))
    assert done.returncode == 0, done.stdout + done.stderr
    assert _results(reports)["suites"][0]["spec_file"] == "sound.yml"

    done = image.run("broken.yml", "--report-dir", "/reports", options=_mounts(workspace, reports))
    assert done.returncode == 1, done.stdout + done.stderr
    assert _results(reports)["exit_code"] == 1
    assert "BatchNormalization" in (reports / "summary.md").read_text()


def test_a_missing_gpu_is_not_judged(image: Image, workspace: Path, reports: Path) -> None:
    mounts = _mounts(workspace, reports)
    done = image.run("broken.yml", "--devices", "cuda:0", "--report-dir", "/reports", options=mounts)
    assert done.returncode == 3, done.stdout + done.stderr
    assert "cuda:0 is not available: this PyTorch build" in done.stdout
    problem = _results(reports)["cases"][0]["problem"]
    assert problem["kind"] == "device"


def test_a_container_without_the_gpu_that_was_asked_for(image: Image, workspace: Path, reports: Path) -> None:
    mounts = _mounts(workspace, reports)
    done = image.run("broken.yml", options=("--env", "PARITY_GPUS=all", *mounts))
    assert done.returncode == 3
    assert "no GPU runtime" in done.stderr
    assert "--gpus all" in done.stderr
    assert list(reports.iterdir()) == []


def test_the_doctor(image: Image) -> None:
    done = image.run("doctor")
    assert done.returncode == 0, done.stdout + done.stderr
    for fact in ("ok  PyTorch", "ok  CPUExecutionProvider", "both sides can use it (cpu)"):
        assert fact in done.stdout
    assert image.run("doctor", "--devices", "cuda:0").returncode == 3


def test_wrong_arguments(image: Image) -> None:
    done = image.run()
    assert done.returncode == 2
    assert "parity.yml: there is no such file" in done.stderr
    assert image.run("no-such-command").returncode == 2


def test_a_folder_that_can_not_be_written(image: Image, workspace: Path, reports: Path) -> None:
    done = image.run("broken.yml", options=_mounts(workspace, reports))
    assert done.returncode == 3
    assert "the report can't be written" in done.stderr


def test_requirements_without_a_network(image: Image, workspace: Path, reports: Path, tmp_path: Path) -> None:
    write_wheel(tmp_path / "own", "helper_of_tests", "1.5")
    (tmp_path / "own" / "requirements.txt").write_text("helper_of_tests\nnumpy\n")
    for path in (tmp_path, *tmp_path.parents):
        if path == Path("/tmp"):
            break
        path.chmod(0o755)
    (tmp_path / "own" / "parity.yml").write_text("version: 1\n")
    cache = tmp_path / "cache"
    cache.mkdir()
    give_to_caller(cache)
    variables = {
        "PARITY_REQUIREMENTS": "/own/requirements.txt",
        "PARITY_CACHE_DIR": "/cache",
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": "/own",
    }
    options = tuple(part for name, value in variables.items() for part in ("--env", f"{name}={value}"))
    mounts = _mounts(tmp_path / "own", reports, f"{tmp_path / 'own'}:/own:ro", f"{cache}:/cache")
    first, second = (image.run(options=(*options, *mounts)) for _ in range(2))
    assert "Successfully installed helper_of_tests-1.5" in first.stderr
    assert "Successfully installed" not in second.stderr
    assert first.returncode == second.returncode == 2  # of the specification, which is read after that
    assert "parity.yml" in second.stderr


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_a_container_that_is_ended(how: str, image: Image, workspace: Path, reports: Path) -> None:
    """Killed: valid results or none, never half. Told to end: results that say so, within the ten seconds."""
    name = f"parity-test-{uuid.uuid4().hex[:12]}"
    options = ("--name", name, *_mounts(workspace, reports))
    command = image.command("broken.yml", "--report-dir", "/reports", options=options)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as running:
        assert running.stdout is not None
        for line in running.stdout:
            if "loading the reference" in line:
                break
        time.sleep(2)
        began = time.monotonic()
        docker(how, name)
        running.stdout.read()
        status = running.wait(timeout=30)
        assert time.monotonic() - began < 10
    if how == "kill":
        assert status == 137
        assert not (reports / "results.json").exists() or _results(reports)["exit_code"] != 0
    else:
        assert status == 143
        found = _results(reports)
        assert found["exit_code"] != 0
        assert found["suites"][0]["problem"]["kind"] == "ended"
    assert not [path for path in reports.iterdir() if path.name not in REPORTS]


def test_it_knows_its_runtime(image: Image) -> None:
    assert "PARITY_RUNTIME=cpu" in image.inspect()["Config"]["Env"]
