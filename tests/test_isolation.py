"""Whatever a user's model does, its case says so, the other cases are judged, and nothing is left running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest
from support.projects import FEATURES, Finished, Project

# The first element of the input says how this case misbehaves.
MISBEHAVE = r"""
        match int(x[0, 0]):
            case 1: print("to standard output"); os.write(1, b'{"type": "ran"}\n'); os.write(2, b"{}\n")
            case 2: raise ValueError("the model does not like this input")
            case 3: sys.exit(0)
            case 4: os._exit(0)
            case 5: os.kill(os.getpid(), 11)
            case 6: time.sleep(3600)
            case 7: self.hoard = torch.ones(600_000_000); time.sleep(60)
"""
CASES = {
    "0-sound": 0,
    "1-prints": 1,
    "2-raises": 2,
    "3-exits": 3,
    "4-os-exit": 4,
    "5-segfault": 5,
    "6-hangs": 6,
}
CASES |= {"7-hoards": 7, "8-sound": 8}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    project = Project(tmp_path_factory.mktemp("misbehaving"), before=MISBEHAVE)
    (project.root / "samples").mkdir()
    for name, code in CASES.items():
        x = np.full((2, FEATURES), code, np.float32)
        np.savez(project.root / "samples" / f"{name}.npz", x=x)
    # Long enough to load PyTorch on a busy machine, short enough to wait for.
    limits = {"timeout": 25, "memory": "2GiB"}
    return project.run(inputs={"files": "samples/*.npz"}, limits=limits)


@pytest.mark.parametrize("case", ["0-sound", "1-prints", "8-sound"])
def test_sound_cases_are_judged_beside_the_others(finished: Finished, case: str) -> None:
    judged = finished.case(case)
    assert judged["status"] == "passed"
    assert judged["outputs"][0]["measurement"]["elements"] == 6


@pytest.mark.parametrize(
    ("case", "kind", "words"),
    [
        ("2-raises", "user-code", "ValueError"),
        ("3-exits", "user-code", "sys.exit(0)"),
        ("4-os-exit", "crash", "status 0"),
        ("5-segfault", "crash", "SIGSEGV"),
        ("6-hangs", "timeout", "25 s"),
        ("7-hoards", "memory", "2.00 GiB"),
    ],
)
def test_a_misbehaving_model_could_not_be_judged(
    finished: Finished, case: str, kind: str, words: str
) -> None:
    problem = finished.case(case)["problem"]
    assert finished.case(case)["status"] == "error"
    assert problem["kind"] == kind
    assert words in problem["message"]
    assert "forward" in problem["message"] or "running the reference" in problem["message"]


def test_exit_status_says_that_it_could_not_be_judged(finished: Finished) -> None:
    assert finished.status == 3


def test_the_traceback_of_the_users_code_is_kept(finished: Finished) -> None:
    assert "does not like this input" in finished.case("2-raises")["problem"]["detail"]


def test_a_suite_whose_model_can_not_be_built_is_not_judged(tmp_path: Path) -> None:
    done = Project(tmp_path, on_build="os._exit(7)").run()
    assert done.status == 3
    (case,) = done.results["cases"]
    assert case["problem"]["kind"] == "crash"
    assert "status 7" in case["problem"]["message"]


def _descendants(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_running_when_the_gate_is_ended(tmp_path: Path, by: signal.Signals) -> None:
    hang = (
        "import subprocess; subprocess.Popen(['sleep', '600']); open('started', 'w').close(); time.sleep(600)"
    )
    project = Project(tmp_path, before=hang)
    project.write_spec()
    gate = subprocess.Popen(
        [sys.executable, "-m", "parity", "run", "parity.yml"],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    wait_until((tmp_path / "started").exists, seconds=60)
    workers = _descendants(gate)
    assert len(workers) >= 3  # both workers and the model's own child
    gate.send_signal(by)
    gate.wait(timeout=20)
    psutil.wait_procs(workers, timeout=10)
    assert not [worker for worker in workers if worker.is_running() and worker.status() != "zombie"]


def wait_until(condition: Callable[[], bool], *, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
