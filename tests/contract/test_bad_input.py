"""Bad checkpoints, ONNX files, inputs and devices: the right exit status, one readable message each, and
the sound specification beside them is still judged.
"""

from __future__ import annotations

import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from support.projects import FEATURES, Finished, Project, run_parity, weights, write_onnx

from parity.problems import exit_code_of
from parity.records.results import Problem


class Bomb:
    """Unpickling this writes a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.system, (f"touch {self.marker}",))


def state() -> dict[str, torch.Tensor]:
    weight, bias = weights()
    return {"linear.weight": torch.from_numpy(weight), "linear.bias": torch.from_numpy(bias)}


def checkpoint(name: str) -> dict[str, Any]:
    return {"model": {"loader": "python", "target": "model.py:build", "checkpoint": name}}


def generated(**tensor: Any) -> dict[str, Any]:
    x = {"shape": [2, FEATURES], "dtype": "float32", "distribution": "normal", **tensor}
    return {"inputs": {"tensors": {"x": x}}}


def bomb(root: Path) -> dict[str, Any]:
    (root / "bomb.pth").write_bytes(pickle.dumps({"state_dict": Bomb(root / "exploded")}))
    return checkpoint("bomb.pth")


def truncated_checkpoint(root: Path) -> dict[str, Any]:
    torch.save(state(), root / "whole.pth")
    data = (root / "whole.pth").read_bytes()
    (root / "truncated.pth").write_bytes(data[: len(data) // 2])
    return checkpoint("truncated.pth")


def foreign_checkpoint(root: Path) -> dict[str, Any]:
    torch.save({"state_dict": {"encoder.weight": torch.ones(2), **state()}}, root / "foreign.pth")
    return checkpoint("foreign.pth")


def checkpoint_of_other_shape(root: Path) -> dict[str, Any]:
    torch.save({**state(), "linear.bias": torch.zeros(7)}, root / "shape.pth")
    return checkpoint("shape.pth")


def truncated_onnx(root: Path) -> dict[str, Any]:
    data = (root / "model.onnx").read_bytes()
    (root / "truncated.onnx").write_bytes(data[: len(data) // 2])
    return {"onnx": "truncated.onnx"}


def empty_onnx(root: Path) -> dict[str, Any]:
    (root / "empty.onnx").touch()
    return {"onnx": "empty.onnx"}


def onnx_without_its_data(root: Path) -> dict[str, Any]:
    write_onnx(root / "external.onnx", external=True)
    (root / "external.onnx.data").unlink()
    return {"onnx": "external.onnx"}


def wrong_name(root: Path) -> dict[str, Any]:
    x = {"shape": [2, FEATURES], "dtype": "float32", "distribution": "normal"}
    return {"inputs": {"tensors": {"image": x}}}


def provider_raises(root: Path) -> dict[str, Any]:
    (root / "data.py").write_text("def samples():\n    raise RuntimeError('no sweeps on this disk')\n")
    return {"inputs": {"provider": "data.py:samples"}}


def absent_device(root: Path) -> dict[str, Any]:
    return {"devices": ["cuda:0"]}


def unmatched_pattern(root: Path) -> dict[str, Any]:
    return {"tolerances": {"*": {"atol": 1e-5}, "heatmap": {"atol": 1e-3}}}


def uncovered_output(root: Path) -> dict[str, Any]:
    return {"tolerances": {"z*": {"atol": 1e-5}}}


NO_CUDA = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")

# name -> what spoils the project, the problem's kind, the exit status, the key it points at, words of it
SPOILERS: dict[str, tuple[Callable[[Path], dict[str, Any]], str, int, str, list[str]]] = {
    "bomb": (bomb, "model", 3, "model", ["bomb.pth"]),
    "truncated-checkpoint": (truncated_checkpoint, "model", 3, "model", ["truncated.pth"]),
    "foreign": (foreign_checkpoint, "model", 3, "model", ["encoder.weight"]),
    "shape": (checkpoint_of_other_shape, "model", 3, "model", ["linear.bias", "7"]),
    "truncated-onnx": (truncated_onnx, "onnx", 3, "onnx", ["truncated.onnx"]),
    "empty-onnx": (empty_onnx, "onnx", 3, "onnx", ["empty"]),
    "external": (onnx_without_its_data, "onnx", 3, "onnx", ["external.onnx.data"]),
    "input-shape": (lambda root: generated(shape=[2, 5]), "specification", 2, "inputs", ["x", "5"]),
    "input-dtype": (
        lambda root: generated(dtype="float64"),
        "specification",
        2,
        "inputs",
        ["float64", "float32"],
    ),
    "input-name": (wrong_name, "specification", 2, "inputs", ["image", "x"]),
    "provider": (provider_raises, "user-code", 3, "inputs", ["no sweeps on this disk"]),
    "pattern": (unmatched_pattern, "specification", 2, "heatmap", ["heatmap"]),
    "uncovered": (uncovered_output, "specification", 2, "z*", ["y"]),
    "device": (absent_device, "device", 3, "devices", ["cuda:0"]),
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bad")


@pytest.fixture(scope="module")
def finished(root: Path) -> Finished:
    """One run over all of the spoiled specifications and a sound one at the end."""
    project = Project(root)
    specs = []
    for name, (spoil, *_) in SPOILERS.items():
        spec = {**project.spec, "name": name, **spoil(root)}
        specs.append(f"{name}.yml")
        (root / specs[-1]).write_text(yaml.safe_dump(spec, sort_keys=False))
    sound = project.write_spec(name="sound")
    done = run_parity("run", *specs, sound.name, cwd=root)
    assert not (root / "exploded").exists(), "the checkpoint's pickle was executed"
    return done


@pytest.mark.parametrize("name", [pytest.param(n, marks=NO_CUDA) if n == "device" else n for n in SPOILERS])
def test_it_could_not_be_judged_and_says_why(finished: Finished, root: Path, name: str) -> None:
    _, kind, status, key, words = SPOILERS[name]
    cases = [case for case in finished.results["cases"] if case["suite"] == name]
    assert cases
    for case in cases:
        problem = case["problem"]
        assert case["status"] == "error"
        assert problem["kind"] == kind, problem
        assert exit_code_of(Problem(kind=problem["kind"], message="")) == status
        told = " ".join(problem[part] for part in ("message", "fix", "at", "detail"))
        for word in words:
            assert word in told
        assert "Traceback" not in problem["message"]
        file, line, _ = problem["at"].split(":")
        assert file == f"{name}.yml"
        assert (root / file).read_text().splitlines()[int(line) - 1].strip().startswith(f"{key}:")


def test_the_sound_one_is_judged_all_the_same(finished: Finished) -> None:
    (case,) = (case for case in finished.results["cases"] if case["suite"] == "sound")
    assert case["status"] == "passed"


def test_every_problem_is_on_the_screen(finished: Finished) -> None:
    for name in SPOILERS:
        assert name in finished.stdout


def test_the_exit_status_of_the_whole(finished: Finished) -> None:
    assert finished.status == 2  # a wrong specification outranks what could not be judged


@NO_CUDA
def test_an_absent_device_is_exit_status_3_alone(tmp_path: Path) -> None:
    done = Project(tmp_path).run("--devices", "cuda:0")
    assert done.status == 3
    assert all(case["device"] == "cuda:0" for case in done.results["cases"])
    assert not any(case["outputs"] for case in done.results["cases"])


def test_an_input_file_that_is_damaged_spoils_its_own_case_only(tmp_path: Path) -> None:
    project = Project(tmp_path)
    for name in ("a", "b", "c"):
        np.savez(tmp_path / f"{name}.npz", x=np.ones((2, FEATURES), np.float32))
    (tmp_path / "b.npz").write_bytes((tmp_path / "b.npz").read_bytes()[:60])
    done = project.run(inputs={"files": "*.npz"})
    assert done.status == 3
    assert {case["input_set"]: case["status"] for case in done.results["cases"]} == {
        "a": "passed",
        "b": "error",
        "c": "passed",
    }
    assert done.case("b")["problem"]["kind"] == "input"


def test_a_failed_output_outranks_an_error(tmp_path: Path) -> None:
    project = Project(tmp_path)
    write_onnx(tmp_path / "model.onnx", bias_shift=0.1)
    np.savez(tmp_path / "a.npz", x=np.ones((2, FEATURES), np.float32))
    (tmp_path / "b.npz").write_bytes(b"")
    done = project.run(inputs={"files": "*.npz"})
    assert done.status == 1
    (output,) = done.case("a")["outputs"]
    assert output["name"] == "y"
    assert output["max_abs"] == pytest.approx(0.1, rel=1e-3)
    assert output["factor"] == pytest.approx(1e4, rel=1e-2)


def test_no_matching_case_is_no_pass(tmp_path: Path) -> None:
    done = Project(tmp_path).run("--case", "*/nothing/*")
    assert done.status == 2
    assert "nothing" in done.stdout + done.stderr


def test_the_specification_itself_is_missing(tmp_path: Path) -> None:
    done = run_parity("run", "absent.yml", cwd=tmp_path)
    assert done.status == 2
    assert "absent.yml" in done.stderr
    assert "Traceback" not in done.stderr


def test_reports_are_made_again_from_the_results(tmp_path: Path) -> None:
    done = Project(tmp_path).run()
    assert done.status == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "parity-report").iterdir()}
    again = run_parity("report", "parity-report/results.json", "--report-dir", "again", cwd=tmp_path)
    assert again.status == 0
    for name in ("junit.xml", "summary.md"):
        assert (tmp_path / "again" / name).read_bytes() == before[name]
    shutil.rmtree(tmp_path / "again")
