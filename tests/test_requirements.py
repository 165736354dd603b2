from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from support.wheels import write_wheel

from parity import requirements
from parity.errors import CannotJudge, SpecError


class Runner:
    """Runs commands as the entrypoint does, and remembers them; pip sees the wheels of one folder alone."""

    def __init__(self, wheels: Path) -> None:
        self.commands: list[list[str]] = []
        self.output = ""
        self._environment = {**os.environ, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels)}
        self._environment["PIP_CONFIG_FILE"] = os.devnull

    def __call__(self, command: list[str]) -> int:
        self.commands.append(command)
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False)
        self.output += done.stdout + done.stderr
        return done.returncode


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    write_wheel(tmp_path / "wheels", "helper_of_tests", "1.5")
    return Runner(tmp_path / "wheels")


def _write(tmp_path: Path, text: str, name: str = "requirements.txt") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def _ask(python: Path, code: str) -> str:
    return subprocess.run(
        [python, "-I", "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_they_are_installed_beside_the_packages_that_are_here(tmp_path: Path, runner: Runner) -> None:
    python = requirements.install(_write(tmp_path, "helper_of_tests\nnumpy\n"), tmp_path / "cache", runner)
    said = _ask(python, "import helper_of_tests as h, numpy, parity; print(h.VERSION, numpy.__file__)")
    assert said.startswith("1.5 ")
    assert str(tmp_path) not in said  # NumPy was here already and did not come again
    assert not (Path(sys.prefix) / "lib" / "helper_of_tests.py").exists()


def test_the_second_time_nothing_is_run(tmp_path: Path, runner: Runner) -> None:
    file = _write(tmp_path, "helper_of_tests\n")
    first = requirements.install(file, tmp_path / "cache", runner)
    ran = len(runner.commands)
    assert requirements.install(file, tmp_path / "cache", runner) == first
    assert len(runner.commands) == ran
    file.write_text("helper_of_tests>=1\n")
    assert requirements.install(file, tmp_path / "cache", runner) != first


def test_a_file_that_is_included_counts(tmp_path: Path, runner: Runner) -> None:
    _write(tmp_path, "helper_of_tests==1.5\n", "more.txt")
    file = _write(tmp_path, "-r more.txt\n")
    first = requirements.install(file, tmp_path / "cache", runner)
    write_wheel(tmp_path / "wheels", "helper_of_tests", "1.6")
    _write(tmp_path, "helper_of_tests==1.6\n", "more.txt")
    second = requirements.install(file, tmp_path / "cache", runner)
    versions = [_ask(python, "import helper_of_tests as h; print(h.VERSION)") for python in (first, second)]
    assert versions == ["1.5", "1.6"]


def test_local_files_are_never_taken_from_the_cache(tmp_path: Path, runner: Runner) -> None:
    wheel = write_wheel(tmp_path / "own", "own_of_tests", "1")
    file = _write(tmp_path, f"{wheel}\n")
    first = requirements.install(file, tmp_path / "cache", runner)
    write_wheel(tmp_path / "own", "own_of_tests", "1").write_bytes(wheel.read_bytes())
    assert requirements.install(file, tmp_path / "cache", runner) != first


def test_half_an_installation_is_not_used(tmp_path: Path, runner: Runner) -> None:
    file = _write(tmp_path, "helper_of_tests\n")
    python = requirements.install(file, tmp_path / "cache", runner)
    (python.parent.parent / "complete").unlink()
    for module in python.parent.parent.rglob("helper_of_tests.py"):
        module.unlink()
    requirements.install(file, tmp_path / "cache", runner)
    assert _ask(python, "import helper_of_tests as h; print(h.VERSION)") == "1.5"


@pytest.mark.parametrize("wrong", ["torch==0.0.1", "no_such_package_of_tests"])
def test_what_pip_can_not_do_is_not_judged(wrong: str, tmp_path: Path, runner: Runner) -> None:
    file = _write(tmp_path, f"helper_of_tests\n{wrong}\n")
    for _ in range(2):  # a failure is not cached
        with pytest.raises(CannotJudge, match="pip could not install") as caught:
            requirements.install(file, tmp_path / "cache", runner)
        assert f"torch=={version('torch')}" in caught.value.fix


def test_what_contradicts_parity_is_refused_by_pip(tmp_path: Path, runner: Runner) -> None:
    write_wheel(tmp_path / "wheels", "pydantic", "1.0")
    with pytest.raises(CannotJudge):
        requirements.install(_write(tmp_path, "pydantic<2\n"), tmp_path / "cache", runner)
    assert "onnx-parity-action" in runner.output


def test_no_file_is_a_wrong_argument(tmp_path: Path, runner: Runner) -> None:
    with pytest.raises(SpecError, match="No such file"):
        requirements.install(tmp_path / "none.txt", tmp_path / "cache", runner)
    with pytest.raises(SpecError, match="No such file"):
        requirements.install(_write(tmp_path, "-r none.txt\n"), tmp_path / "cache", runner)
    (tmp_path / "latin.txt").write_bytes(b"\xff")
    with pytest.raises(SpecError, match="UTF-8"):
        requirements.install(tmp_path / "latin.txt", tmp_path / "cache", runner)
    assert runner.commands == []


def test_a_cache_that_can_not_be_written_says_so(tmp_path: Path, runner: Runner) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(CannotJudge, match="can't be installed there") as caught:
        requirements.install(_write(tmp_path, "helper_of_tests\n"), tmp_path / "cache", runner)
    assert "PARITY_CACHE_DIR" in caught.value.fix
