from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.projects import Project
from support.wheels import write_wheel

from parity.errors import SpecError

ENTRYPOINT = Path(__file__).resolve().parent.parent / "entrypoint.py"
_spec = importlib.util.spec_from_file_location("entrypoint", ENTRYPOINT)
assert _spec is not None
assert _spec.loader is not None
entrypoint = importlib.util.module_from_spec(_spec)
sys.modules["entrypoint"] = entrypoint  # dataclasses look their module up
_spec.loader.exec_module(entrypoint)


def _command(arguments: list[str], workspace: Path, **variables: str) -> list[str]:
    environment = {f"PARITY_{name}": value for name, value in variables.items()}
    settings = entrypoint.Settings.read({"PARITY_WORKSPACE": str(workspace), **environment})
    made: list[str] = entrypoint.command(arguments, settings)
    return made


@pytest.mark.parametrize(
    ("arguments", "variables", "expected"),
    [
        ([], {}, ["run", "parity.yml"]),
        (["parity.yml"], {}, ["run", "parity.yml"]),
        (["a/parity.yaml", "--case", "x"], {}, ["run", "a/parity.yaml", "--case", "x"]),
        (["a/spec"], {}, ["run", "a/spec"]),
        (["run", "a.yml"], {}, ["run", "a.yml"]),
        (["check"], {}, ["check", "parity.yml"]),
        (["diagnose"], {"SPEC": "a.yml b.yml"}, ["diagnose", "a.yml", "b.yml"]),
        (["schema"], {"DEVICES": "cpu"}, ["schema"]),
        (["--version"], {}, ["--version"]),
        (["publish", "--x", "y"], {"REPORT_DIR": "r"}, ["publish", "--x", "y"]),
        ([], {"SPEC": "'my spec.yml'"}, ["run", "my spec.yml"]),
        # The variables come first, so that arguments win.
        (
            ["a.yml", "--devices", "cpu"],
            {"DEVICES": "cuda:0"},
            ["run", "--devices", "cuda:0", "a.yml", "--devices", "cpu"],
        ),
        (
            [],
            {
                "REPORT_DIR": "/out",
                "DIAGNOSE": "never",
                "CASE": "*/x",
                "EXTRA_ARGS": "--keep 'a b'",
                "SPEC": " ",
            },
            [
                "run",
                "--report-dir",
                "/out",
                "--diagnose",
                "never",
                "--case",
                "*/x",
                "--keep",
                "a b",
                "parity.yml",
            ],
        ),
        (["doctor"], {}, ["doctor"]),
        (["doctor"], {"GPUS": "none"}, ["doctor"]),
        (["doctor"], {"GPUS": "all"}, ["doctor", "--devices", "cuda:0"]),
        (["doctor"], {"GPUS": "0"}, ["doctor", "--devices", "cuda:0"]),
        (["doctor"], {"DEVICES": "cpu,cuda:1"}, ["doctor", "--devices", "cpu,cuda:1"]),
        (["doctor", "--devices", "cpu"], {"GPUS": "all"}, ["doctor", "--devices", "cpu"]),
    ],
)
def test_arguments_and_variables_become_one_command(
    arguments: list[str], variables: dict[str, str], expected: list[str], tmp_path: Path
) -> None:
    assert _command(arguments, tmp_path, **variables) == expected


def test_patterns_are_the_workspaces_files(tmp_path: Path) -> None:
    for name in ("b/parity.yml", "a/parity.yml", "a/deep/parity.yml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert _command([], tmp_path, SPEC="*/parity.yml") == ["run", "a/parity.yml", "b/parity.yml"]
    everywhere = ["a/deep/parity.yml", "a/parity.yml", "b/parity.yml"]
    assert _command([], tmp_path, SPEC="**/parity.yml") == ["run", *everywhere]
    with pytest.raises(SpecError, match=r"no specification matches 'none\*'"):
        _command([], tmp_path, SPEC="none*")


def test_an_open_quote_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="PARITY_EXTRA_ARGS"):
        _command([], tmp_path, EXTRA_ARGS="--keep 'a")


def test_what_a_user_without_a_home_lacks_is_added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("USER", "LOGNAME", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 54321)  # nobody in /etc/passwd
    made = entrypoint.complete({"HOME": "/", "PYTHONPATH": "/more", "KEPT": "1"}, tmp_path)
    assert made["HOME"] != "/"
    assert os.access(made["HOME"], os.W_OK)
    assert made["USER"] == "parity"
    assert made["TORCHINDUCTOR_CACHE_DIR"]
    assert made["PYTHONPATH"] == f"{tmp_path}{os.pathsep}/more"
    assert made["KEPT"] == "1"


def test_what_is_there_is_left_alone(tmp_path: Path) -> None:
    given = {"HOME": str(tmp_path), "USER": "me", "TORCHINDUCTOR_CACHE_DIR": "/cache"}
    made = entrypoint.complete(given, Path("/workspace"))
    assert made == {**given, "PYTHONPATH": "/workspace"}


def _start(workspace: Path, *arguments: str, **variables: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PARITY_WORKSPACE": str(workspace), **variables}
    return subprocess.Popen(
        [sys.executable, "-I", str(ENTRYPOINT), *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _run(workspace: Path, *arguments: str, **variables: str) -> tuple[int, str, str]:
    process = _start(workspace, *arguments, **variables)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def test_the_exit_status_is_paritys(tmp_path: Path) -> None:
    assert _run(tmp_path, "--version")[0] == 0
    status, _, err = _run(tmp_path)
    assert status == 2
    assert "parity.yml: there is no such file" in err
    status, _, err = _run(tmp_path / "none")
    assert status == 2
    assert "PARITY_WORKSPACE" in err


def test_modules_of_the_workspace_are_for_the_workers_alone(tmp_path: Path) -> None:
    project = Project(tmp_path, before="import helper_of_the_workspace")
    (tmp_path / "helper_of_the_workspace.py").touch()
    (tmp_path / "rich.py").write_text("raise RuntimeError('the host must not import this')\n")
    project.write_spec()
    status, out, err = _run(tmp_path)
    assert status == 0, out + err


def test_requirements_are_there_for_the_model(tmp_path: Path) -> None:
    write_wheel(tmp_path / "wheels", "helper_of_tests", "1.5")
    (tmp_path / "requirements.txt").write_text("helper_of_tests\n")
    Project(tmp_path, before="import helper_of_tests").write_spec()
    variables = {
        "PARITY_REQUIREMENTS": "requirements.txt",
        "PARITY_CACHE_DIR": str(tmp_path / "cache"),
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(tmp_path / "wheels"),
        "PIP_CONFIG_FILE": os.devnull,
    }
    status, out, err = _run(tmp_path, **variables)
    assert status == 0, out + err
    assert "Successfully installed helper_of_tests" in err  # pip's words are not the result
    assert "helper_of_tests" not in out


@pytest.mark.skipif(Path("/dev/nvidiactl").exists(), reason="this machine has a GPU")
@pytest.mark.parametrize("variables", [{"PARITY_GPUS": "all"}, {"PARITY_DEVICES": "cpu,cuda:0"}])
def test_a_gpu_that_is_not_there_is_told_before_anything_runs(
    variables: dict[str, str], tmp_path: Path
) -> None:
    status, out, err = _run(tmp_path, **variables)
    assert status == 3
    assert out == ""
    assert "a GPU was asked for, but" in err
    assert "fix: " in err


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_cancelled_run_writes_what_it_has_and_ends(by: signal.Signals, tmp_path: Path) -> None:
    project = Project(tmp_path, before="open('started', 'w').close(); time.sleep(600)")
    project.write_spec()
    process = _start(tmp_path, "parity.yml")
    _wait_until((tmp_path / "started").exists, seconds=60)
    asked = time.monotonic()
    process.send_signal(by)
    process.communicate(timeout=20)
    assert time.monotonic() - asked < 10  # the runner's limit, not a measure of speed
    assert process.returncode == 128 + by
    results = json.loads((tmp_path / "parity-report" / "results.json").read_text())
    assert results["exit_code"] == 3
    assert results["suites"][0]["problem"]["kind"] == "ended"


KEEPER = """\
import runpy, sys
module = runpy.run_path({entrypoint!r})
module["Keeper"].__init__.__globals__["GRACE_S"] = 0.5
sys.exit(module["Keeper"]().run([sys.executable, "-c", {child!r}], {{}}))
"""


def _keep(child: str) -> subprocess.Popen[str]:
    code = KEEPER.format(entrypoint=str(ENTRYPOINT), child=child)
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)


STUBBORN = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"


@pytest.mark.parametrize("signals", [1, 2])
def test_who_does_not_end_is_killed(signals: int) -> None:
    process = _keep(STUBBORN)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    for _ in range(signals):
        process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == 128 + signal.SIGTERM


@pytest.mark.parametrize(
    ("child", "status"),
    [("raise SystemExit(7)", 7), ("import os; os.abort()", 134), ("import os; os.kill(os.getpid(), 9)", 137)],
)
def test_the_childs_end_is_passed_on(child: str, status: int) -> None:
    process = _keep(child)
    process.communicate(timeout=20)
    assert process.returncode == status


def test_nothing_is_left_behind() -> None:
    child = "import subprocess; print(subprocess.Popen(['sleep', '600']).pid, flush=True)"
    process = _keep(child)
    assert process.stdout is not None
    left = int(process.stdout.readline())
    process.wait(timeout=20)
    process.stdout.close()
    _wait_until(lambda: _gone(left), seconds=10)


def _gone(number: int) -> bool:
    try:
        return Path(f"/proc/{number}/stat").read_text().split()[2] == "Z"
    except FileNotFoundError:
        return True


def _wait_until(condition: Callable[[], bool], *, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
