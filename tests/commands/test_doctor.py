from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.projects import run_parity

from parity.commands import doctor
from parity.errors import ExitCode

NO_GPU = pytest.mark.skipif(Path("/dev/nvidiactl").exists(), reason="this machine has a GPU")


def test_the_cpu_is_there_for_both_sides(tmp_path: Path) -> None:
    done = run_parity("doctor", cwd=tmp_path)
    assert done.status == 0, done.stdout + done.stderr
    for fact in (
        "ok  PyTorch",
        "ok  ONNX Runtime",
        "ok  CPUExecutionProvider",
        "both sides can use it (cpu)",
    ):
        assert fact in done.stdout
    assert list(tmp_path.iterdir()) == []


@NO_GPU
def test_a_gpu_that_was_asked_for_and_is_absent_is_not_judged(tmp_path: Path) -> None:
    done = run_parity("doctor", "--devices", "cpu,cuda:0", cwd=tmp_path)
    assert done.status == 3
    (driver,) = (line for line in done.stdout.splitlines() if line[4:].startswith("NVIDIA driver"))
    assert driver.startswith("no")
    (device,) = (line for line in done.stdout.splitlines() if line.startswith("no  cuda:0"))
    assert "is not available" in device
    assert "ok  cpu" in done.stdout


@pytest.mark.parametrize("device", ["tpu", "cuda:x"])
def test_a_device_that_nobody_knows_is_not_usable(device: str, tmp_path: Path) -> None:
    done = run_parity("doctor", "--devices", device, cwd=tmp_path)
    assert done.status == 3
    assert f"no  {device}" in done.stdout


def test_a_framework_that_crashes_is_known_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("import os, sys; sys.stderr.write('ouch'); os.abort()\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert doctor.run(["cpu"]) is ExitCode.UNJUDGED
    out = capsys.readouterr().out
    assert "no  PyTorch" in out
    assert "the process ended while it was being loaded" in out
    assert "no  cpu" in out


def test_a_framework_that_is_missing_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "onnxruntime.py").write_text("raise ImportError('no such library: libx.so')\n")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    assert doctor.run(None) is ExitCode.UNJUDGED
    out = capsys.readouterr().out
    assert "ok  PyTorch" in out
    assert "no such library: libx.so" in out


def test_the_host_imports_no_framework(tmp_path: Path) -> None:
    code = "import sys, parity.commands.doctor as d; d.run(None); print({'torch', 'onnx'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"
