"""docker/*.lock against what the project is developed with: no engine and no network needed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
RUNTIMES = ["cpu", "gpu"]


def _pins(text: str) -> dict[str, str]:
    found = re.findall(r"^([\w.-]+)==([^\s;\\]+)", text, re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in found}


def _lock(runtime: str) -> str:
    return (ROOT / "docker" / f"{runtime}.lock").read_text()


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_versions_are_those_of_the_developers(runtime: str) -> None:
    developed, locked = _pins((ROOT / "constraints.txt").read_text()), _pins(_lock(runtime))
    both = locked.keys() & developed.keys() - {"torch"}
    assert len(both) > 25
    assert {name: locked[name] for name in both} == {name: developed[name] for name in both}
    build = "+cpu" if runtime == "cpu" else ""
    assert locked["torch"] == developed["torch"] + build


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_every_package_has_a_hash_and_no_address(runtime: str) -> None:
    text = _lock(runtime)
    entries = re.split(r"^(?=[\w.-]+==)", text, flags=re.MULTILINE)[1:]
    assert len(entries) > 30
    assert [
        entry.split()[0] for entry in entries if not re.search(r"--hash=sha256:[0-9a-f]{64}\b", entry)
    ] == []
    assert not re.search(r"https?:|file:|^\s*-[fi]\b|^\s*--(?!hash)|@ ", text, re.MULTILINE)


def test_the_runtimes_differ_where_they_should() -> None:
    cpu, gpu = _pins(_lock("cpu")), _pins(_lock("gpu"))
    assert {"onnxruntime"} <= cpu.keys() - gpu.keys()
    assert {"onnxruntime-gpu", "nvidia-cudnn-cu13", "nvidia-cublas"} <= gpu.keys() - cpu.keys()
    assert cpu["onnxruntime"] == gpu["onnxruntime-gpu"]
    assert not [name for name in cpu if name.startswith(("nvidia", "cuda", "triton"))]
    # One copy of CUDA: every library of it from one package, all of one major version.
    assert len([name for name in gpu if "cudnn" in name and name.startswith("nvidia")]) == 1
    assert gpu["nvidia-cuda-runtime"].startswith("13.")


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_all_that_parity_needs_is_in(runtime: str) -> None:
    project = (ROOT / "pyproject.toml").read_text()
    block = project.split("dependencies = [", 1)[1].split("]", 1)[0]
    needed = {re.sub(r"[-_.]+", "-", name).lower() for name in re.findall(r'"([\w.-]+)', block)}
    assert len(needed) >= 10
    assert needed | {"pygithub", "onnxscript"} <= _pins(_lock(runtime)).keys()
