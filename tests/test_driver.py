from __future__ import annotations

import ctypes.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from parity import driver

# A driver of our own: what the real one does on machines that tests can't have.
LIBRARY = r"""
#include <string.h>
#include <stddef.h>
int cuInit(unsigned flags) { return INIT; }
int cuDriverGetVersion(int *version) { *version = VERSION; return 0; }
int cuDeviceGetCount(int *count) { *count = COUNT; return 0; }
int cuDeviceGet(int *device, int index) { *device = index; return 0; }
int cuDeviceGetName(char *name, int size, int device) { strncpy(name, "NVIDIA Test", size); return 0; }
int cuDeviceTotalMem_v2(size_t *bytes, int device) { *bytes = (size_t)24 << 30; return 0; }
int cuDeviceGetAttribute(int *value, int what, int device) { *value = what == 75 ? 8 : 6; return 0; }
"""


@pytest.mark.parametrize(
    ("status", "cuda", "needs", "said"),
    [
        (0, "13.0", "13.0", ""),
        (0, "13.2", "13.0", ""),
        (0, "13.0", "13.2", ""),  # minor versions of one major version go together
        (0, "12.4", "", ""),  # nothing is known to need more
        (0, "12.4", "13.0", "too old: it supports CUDA up to 12.4, and PyTorch here brings CUDA 13.0"),
        (100, "12.4", "13.0", "too old"),  # mended first: without it no GPU will do
        (100, "13.0", "13.0", "no GPU is visible"),
        (803, "13.0", "13.0", "old kernel module"),
        (34, "", "13.0", "stub"),
        (999, "13.0", "13.0", "cuInit returned 999"),
    ],
)
def test_what_the_driver_answers_in_plain_words(status: int, cuda: str, needs: str, said: str) -> None:
    problem, fix = driver.judge(status, cuda, needs, "550.54")
    assert said in problem
    assert bool(problem) == bool(said) == bool(fix)


def test_a_driver_that_is_too_old_says_which_one_is_needed() -> None:
    problem, fix = driver.judge(0, "12.4", "13.0", "550.54")
    assert "550.54" in problem
    assert "580" in fix


@pytest.mark.skipif(ctypes.util.find_library("cuda") is not None, reason="this machine has an NVIDIA driver")
def test_no_driver_is_no_crash() -> None:
    found = driver.find()
    assert found.problem
    assert "too old" not in found.problem
    assert found.fix
    assert found.gpus == ()


def _with_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **values: int | str) -> driver.Driver:
    if (compiler := shutil.which("cc")) is None:
        pytest.skip("there is no C compiler to make a driver with")
    source = tmp_path / "cuda.c"
    source.write_text(LIBRARY)
    defines = [f"-D{name}={value}" for name, value in values.items()]
    command = [compiler, "-shared", "-fPIC", *defines, "-o", str(tmp_path / "libcuda.so.1"), str(source)]
    subprocess.run(command, check=True)
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    return driver.find()


def test_the_gpus_of_a_driver_are_described(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = _with_library(tmp_path, monkeypatch, INIT=0, VERSION=13020, COUNT=2)
    assert found.problem == ""
    assert found.cuda == "13.2"
    assert found.gpus == ("NVIDIA Test, compute capability 8.6, 24 GiB",) * 2


@pytest.mark.parametrize("values", [{"INIT": 100, "COUNT": 0}, {"INIT": 0, "COUNT": 0}])
def test_a_driver_without_a_gpu_is_of_no_use(
    values: dict[str, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = _with_library(tmp_path, monkeypatch, VERSION=13000, **values)
    assert "no GPU is visible" in found.problem
    assert found.gpus == ()


def test_a_driver_that_crashes_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = _with_library(tmp_path, monkeypatch, INIT="*(volatile int *)0", VERSION=13000, COUNT=1)
    assert "status -11" in found.problem


def test_importing_it_is_quick_and_brings_no_framework() -> None:
    code = "import sys, parity.driver; print([m for m in ('torch', 'numpy', 'msgspec') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
