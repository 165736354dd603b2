"""The action on a real Docker engine: what only the engine can show."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

import onnx
import pytest
from support import reports
from support.composite import Composite, commands
from support.projects import Project, write_onnx

from parity.reports import results

IMAGE = os.environ.get("PARITY_TEST_IMAGE", "local/parity:cpu")

# What the model's code finds, and what it must not be able to do.
LOOK = """\
import glob, json, socket
def _fails(action):
    try:
        action()
    except OSError as error:
        return type(error).__name__
    return "worked"
def _status(name):
    return next(line.split()[1] for line in open("/proc/self/status") if line.startswith(name))
seen = {
    "git": os.listdir(".git"),
    "environ": sorted(os.environ),
    "workspace": _fails(lambda: open("made", "w")),
    "socket": os.path.exists("/var/run/docker.sock"),
    "network": _fails(lambda: socket.create_connection(("1.1.1.1", 53), timeout=2)),
    "capabilities": _status("CapEff"),
    "privileges": _status("NoNewPrivs"),
}
open("/output/seen.json", "w").write(json.dumps(seen))
raise ValueError("looked")
"""


@pytest.fixture(scope="module")
def _engine() -> None:
    try:
        found = subprocess.run(
            ["docker", "image", "inspect", IMAGE], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"needs a Docker engine: {error}")
    if found.returncode:
        pytest.skip(f"needs a Docker engine with the image {IMAGE}: {found.stderr.strip()}")


@pytest.fixture
def folders(_engine: None, tmp_path: Path) -> tuple[Path, Path]:
    made = tmp_path / "work, space", tmp_path / "temp"
    for folder in made:
        folder.mkdir()
    (made[0] / ".git").mkdir()
    (made[0] / ".git" / "config").write_text("[http] extraheader = AUTHORIZATION: basic secret\n")
    return made


def test_a_sound_model_passes_without_a_network(folders: tuple[Path, Path]) -> None:
    workspace, temporary = folders
    Project(workspace).write_spec()
    run = Composite(workspace, temporary).run(image=IMAGE, gpus="none", network="none", comment="off")
    assert (run.outputs["status"], run.steps["gate"].status) == ("passed", 0), run.log
    for path in (workspace / "parity-report").iterdir():
        assert (path.stat().st_uid, path.stat().st_gid) == (os.getuid(), os.getgid())
    assert sorted(path.name for path in workspace.iterdir()) == [
        ".git",
        "model.onnx",
        "model.py",
        "parity-report",
        "parity.yml",
    ]


def test_a_specification_that_exports_does_not_need_a_workspace_it_can_write(
    folders: tuple[Path, Path],
) -> None:
    workspace, temporary = folders
    onnx = {"path": "made/model.onnx", "export": {"exporter": "torchscript"}}
    Project(workspace).write_spec(onnx=onnx)
    run = Composite(workspace, temporary).run(image=IMAGE, gpus="none", network="none", comment="off")
    assert (run.outputs["status"], run.steps["gate"].status) == ("passed", 0), run.log
    assert not (workspace / "made").exists()


def test_a_fault_fails(folders: tuple[Path, Path]) -> None:
    workspace, temporary = folders
    Project(workspace).write_spec(diagnose="never")
    write_onnx(workspace / "model.onnx", bias_shift=0.5)
    run = Composite(workspace, temporary).run(image=IMAGE, gpus="none", comment="off")
    assert (run.outputs["status"], run.steps["gate"].status) == ("failed", 1), run.log


def test_the_models_code_can_reach_nothing(folders: tuple[Path, Path]) -> None:
    workspace, temporary = folders
    (workspace / "look.py").write_text("import os, sys\n" + LOOK)
    Project(workspace, on_build="import look").write_spec()
    action = Composite(workspace, temporary, environ={"ACTIONS_RUNTIME_TOKEN": "runtime"})
    run = action.run(image=IMAGE, gpus="none", network="none", comment="off")
    assert (run.outputs["status"], run.steps["gate"].status) == ("error", 3), run.log
    seen = json.loads((Path(run.steps["preflight"].outputs["run-dir"]) / "output" / "seen.json").read_text())
    assert seen["git"] == []
    assert seen["workspace"] == "OSError"
    assert seen["network"] == "OSError"
    assert seen["socket"] is False
    assert seen["capabilities"] == "0000000000000000"
    assert seen["privileges"] == "1"
    assert not [
        name for name in seen["environ"] if "TOKEN" in name or name.startswith(("GITHUB_", "ACTIONS_"))
    ]


# Ends the gate itself, as the model's code can, for it runs as the same user in the same container.
KILL = """\
import os, signal, time
open("/output/results.json", "wb").write({content})
for name in os.listdir("/proc"):
    if name.isdigit() and int(name) not in (1, os.getpid()):
        command = open(f"/proc/{{name}}/cmdline").read()
        if "parity" in command and "worker" not in command and "entrypoint" not in command:
            os.kill(int(name), signal.SIGKILL)
time.sleep(60)
"""
FORGED = results.render(reports.green()).encode()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (repr(FORGED), "ended with status"),
        ("b'{\"schema_version\": 1, \"x\": \"' + b'x' * 100_000_000 + b'\"}'", "more than 64 MiB"),
        ('b\'{"schema_version": 1, "exit_code": 0, "cases": 3}\'', "no results of parity"),
    ],
    ids=["a pass", "100 MB", "wrong schema"],
)
def test_a_gate_that_its_model_kills_does_not_pass(
    content: str, said: str, folders: tuple[Path, Path]
) -> None:
    """Whatever it leaves as results: another schema, 100 MB, or the results of a run that passed."""
    workspace, temporary = folders
    (workspace / "kill.py").write_text(KILL.format(content=content))
    Project(workspace, on_build="import kill").write_spec()
    run = Composite(workspace, temporary).run(image=IMAGE, gpus="none", network="none", comment="off")
    assert (run.outputs["status"], run.steps["gate"].outcome) == ("error", "failure"), run.log
    assert "did not come to an end" in run.steps["verify"].log
    assert said in run.log
    assert "could not be judged" in run.steps["report"].summary


HOSTILE = "::error::hijacked ##[error]hijacked </code><img src=x>|@octocat \x1b[31m\u202e [x](javascript:y)"


def test_hostile_names_of_a_model_come_out_as_text(folders: tuple[Path, Path]) -> None:
    workspace, temporary = folders
    Project(workspace).write_spec(diagnose="never")
    model = onnx.load(workspace / "model.onnx")
    model.graph.node[-1].output[0] = model.graph.output[0].name = HOSTILE
    onnx.save(model, workspace / "model.onnx")
    run = Composite(workspace, temporary).run(image=IMAGE, gpus="none", network="none", comment="off")
    assert (run.outputs["status"], run.steps["gate"].status) == ("passed", 0), run.log
    assert not any("hijacked" in line for line in commands(run.log))
    page = (workspace / "parity-report" / "report.html").read_text()
    for text in (run.log, page, run.steps["report"].summary):
        assert "\x1b" not in text
        assert "\u202e" not in text
    assert "<img" not in page + run.steps["report"].summary
    assert "hijacked" in page


def test_a_cancelled_job_ends_its_container(folders: tuple[Path, Path]) -> None:
    workspace, temporary = folders
    Project(workspace, before="time.sleep(600)").write_spec()
    action = Composite(workspace, temporary)
    run_dir = temporary / "run"
    (run_dir / "output").mkdir(parents=True)
    image = subprocess.run(
        ["docker", "image", "inspect", "--format", "{{.Id}}", IMAGE],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    environ = {
        "MODE": "container",
        "IMAGE": image,
        "GPUS": "none",
        "RUN_DIR": str(run_dir),
        "INPUT_SPEC": "parity.yml",
    }
    command = next(step["run"] for step in action.definition["runs"]["steps"] if step["id"] == "verify")
    outputs = temporary / "outputs"
    step = subprocess.Popen(
        ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", command],
        env=action.environ | environ | {"GITHUB_OUTPUT": str(outputs)},
        cwd=workspace,
    )
    mounted = ["docker", "ps", "--quiet", "--filter", f"volume={run_dir / 'output'}"]
    deadline = time.monotonic() + 60
    while not subprocess.run(mounted, capture_output=True, text=True, check=True).stdout:
        assert time.monotonic() < deadline, "the container did not start"
        time.sleep(0.2)
    time.sleep(2)
    asked = time.monotonic()
    step.terminate()
    assert step.wait(15) != 0
    assert time.monotonic() - asked < 10  # the runner kills it then
    assert not subprocess.run(mounted, capture_output=True, text=True, check=True).stdout
    assert "\n0\n" not in outputs.read_text()
