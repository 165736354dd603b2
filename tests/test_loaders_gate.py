"""Every loader through the real command: green as it is, red with a fault, and an error with a wrong file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import onnx
import pytest
import yaml
from support.loaders import BERT, PROJECTS, TOKENS, copy_example, prepare_mmengine
from support.projects import Finished, run_parity

BLOCKED = "import sys\nsys.modules['{}'] = None\n"  # as if the package were not installed


def run(root: Path, model: dict[str, Any], tensors: dict[str, Any], **more: Any) -> Finished:
    spec = {
        "version": 1,
        "name": "loaded",
        "model": model,
        "onnx": "model.onnx",
        "inputs": {"tensors": tensors},
        "tolerances": {"*": {"atol": 1e-4}},
        "performance": {"runs": 0},
        **more,
    }
    (root / "parity.yml").write_text(yaml.safe_dump(spec, sort_keys=False))
    return run_parity("run", "parity.yml", cwd=root)


def exporting(exporter: str) -> dict[str, Any]:
    return {"path": "model.onnx", "export": {"exporter": exporter}}


def problem_of(done: Finished) -> dict[str, Any]:
    problem: dict[str, Any] = done.results["cases"][0]["problem"]
    assert "Traceback" not in problem["message"]
    return problem


@pytest.mark.parametrize("loader", PROJECTS)
def test_it_passes_then_fails_with_a_fault_then_refuses_a_wrong_file(tmp_path: Path, loader: str) -> None:
    project = PROJECTS[loader](tmp_path)
    tolerances = {"*": {"noise_factor": 20} if project.evaluated else {"atol": 1e-5}}
    model, tensors = project.model, project.tensors
    green = run(tmp_path, model, tensors, onnx=exporting(project.exporter), tolerances=tolerances)
    assert green.status == 0, green.stdout + green.stderr

    weight = shift_a_weight(tmp_path / "model.onnx")
    red = run(tmp_path, model, tensors, tolerances=tolerances)
    assert red.status == 1, red.stdout + red.stderr
    diagnosis = worst_output(red)["diagnosis"]
    if project.evaluated:
        assert diagnosis["dominant_leg"] == "export", diagnosis
        assert diagnosis["causes"][0]["kind"] == "initializer", diagnosis
        assert weight in str(diagnosis["causes"][0]), diagnosis
    else:
        assert "TorchScript" in diagnosis["budget"]["unknown"]["export_error"]

    project.spoil(tmp_path)
    wrong = run(tmp_path, model, tensors)
    assert wrong.status == 3, wrong.stdout + wrong.stderr
    problem = problem_of(wrong)
    assert project.said in problem["message"]
    assert problem["fix"]


def shift_a_weight(path: Path) -> str:
    """Adds to one element of the last matrix of the file; its name."""
    model = onnx.load(path)
    floats = [one for one in model.graph.initializer if one.data_type == onnx.TensorProto.FLOAT]
    weight = [one for one in floats if len(one.dims) > 1][-1]
    values = onnx.numpy_helper.to_array(weight).copy()
    values.flat[0] += 0.5
    weight.CopyFrom(onnx.numpy_helper.from_array(values, weight.name))
    onnx.save(model, path)
    return str(weight.name)


def worst_output(done: Finished) -> dict[str, Any]:
    failed = [o for case in done.results["cases"] for o in case["outputs"] if o["status"] == "failed"]
    return max(failed, key=lambda output: float(output["factor"]))


def test_an_mmengine_project_in_two_components_with_an_epsilon_of_its_own(tmp_path: Path) -> None:
    copy_example(tmp_path)
    prepare_mmengine(tmp_path)
    green = run_parity("run", "parity.yml", cwd=tmp_path)
    assert green.status == 0, green.stdout + green.stderr
    assert {case["subject"] for case in green.results["cases"]} == {
        "voxel_encoder",
        "backbone_head",
        "pipeline",
    }

    path = tmp_path / "build" / "voxel_encoder.onnx"
    model = onnx.load(path)
    (norm,) = (node for node in model.graph.node if node.op_type == "BatchNormalization")
    (epsilon,) = (attribute for attribute in norm.attribute if attribute.name == "epsilon")
    epsilon.f = 0.1
    onnx.save(model, path)
    spec = yaml.safe_load((tmp_path / "parity.yml").read_text())
    for component in spec["components"].values():
        component["onnx"] = component["onnx"]["path"]
    (tmp_path / "red.yml").write_text(yaml.safe_dump(spec))
    red = run_parity("run", "red.yml", cwd=tmp_path)
    assert red.status == 1, red.stdout + red.stderr
    statuses = {(case["subject"], case["status"]) for case in red.results["cases"]}
    assert ("voxel_encoder", "failed") in statuses
    assert ("backbone_head", "passed") in statuses
    (output,) = (
        o
        for c in red.results["cases"]
        for o in c["outputs"]
        if c["subject"] == "voxel_encoder" and o["diagnosis"]
    )
    cause = output["diagnosis"]["causes"][0]
    assert (cause["kind"], cause["leg"]) == ("attribute", "export")
    assert "epsilon" in cause["message"]
    assert output["diagnosis"]["first_divergence"]["module"] == "norm"


def test_a_config_in_place_has_random_weights_that_repeat(tmp_path: Path) -> None:
    model = {"loader": "transformers", "config": BERT}
    first = run(tmp_path, model, TOKENS, onnx=exporting("torchscript"))
    assert first.status == 0, first.stdout + first.stderr
    assert [output["name"] for output in first.results["cases"][0]["outputs"]] == ["logits"]
    again = run(tmp_path, model, TOKENS)
    assert again.status == 0, again.stdout + again.stderr
    assert "the weights are random" in again.stdout


def test_nothing_is_fetched_from_a_hub(tmp_path: Path) -> None:
    model = {"loader": "transformers", "config": "bert-base-uncased"}
    done = run(tmp_path, model, TOKENS, onnx=exporting("dynamo"))
    assert done.status == 2
    assert "there is no folder 'bert-base-uncased'" in done.stderr
    assert "nothing is fetched from a hub" in done.stderr


@pytest.mark.parametrize("loader", ["mmengine", "transformers"])
def test_a_package_that_is_missing_is_named_with_its_install_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loader: str
) -> None:
    (tmp_path / "blocked").mkdir()
    (tmp_path / "blocked" / "sitecustomize.py").write_text(BLOCKED.format(loader))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "blocked"))
    (tmp_path / "config.py").write_text("model = {'type': 'Net'}\n")
    config: Any = "config.py" if loader == "mmengine" else BERT
    done = run(tmp_path, {"loader": loader, "config": config}, TOKENS, onnx=exporting("dynamo"))
    assert done.status == 3, done.stdout + done.stderr
    problem = problem_of(done)
    assert f"needs the package '{loader}'" in problem["message"]
    assert f"pip install 'onnx-parity-action[{loader}]'" in problem["fix"]


THEIRS = """\
import torch

def load(job, base_dir):
    if job.args.get("broken"):
        raise RuntimeError("no such weights in our store")
    return torch.nn.Linear(4, 2) if job.target == "linear" else "no module"
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package with a loader named `ours`."""
    site = tmp_path / "site"
    (site / "theirs-1.0.dist-info").mkdir(parents=True)
    (site / "theirs.py").write_text(THEIRS)
    (site / "theirs-1.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n"
    )
    (site / "theirs-1.0.dist-info" / "entry_points.txt").write_text(
        "[onnx_parity.loaders]\nours = theirs:load\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(site))


@pytest.mark.usefixtures("package")
def test_a_loader_of_an_installed_package(tmp_path: Path) -> None:
    x = {"x": {"shape": [2, 4], "dtype": "float32"}}
    torch_weights(tmp_path / "linear.pth")
    model = {"loader": "ours", "target": "linear", "checkpoint": "linear.pth"}
    done = run(tmp_path, model, x, onnx=exporting("torchscript"))
    assert done.status == 0, done.stdout + done.stderr

    other = run(tmp_path, {"loader": "ours", "target": "other"}, x)
    assert other.status == 3
    assert "the loader 'ours' gave an object of type str" in problem_of(other)["message"]
    broken = run(tmp_path, {"loader": "ours", "args": {"broken": True}}, x)
    assert broken.status == 3
    assert "no such weights in our store" in problem_of(broken)["message"]
    near = run(tmp_path, {"loader": "ous"}, x)
    assert near.status == 2
    assert "did you mean 'ours'?" in near.stderr


def torch_weights(path: Path) -> None:
    import torch

    torch.save(torch.nn.Linear(4, 2).state_dict(), path)


def test_checking_a_specification_imports_neither_torch_nor_a_loaders_package(tmp_path: Path) -> None:
    PROJECTS["transformers"](tmp_path)
    spec = {"version": 1, "model": {"loader": "transformers", "config": "bert"}, "onnx": exporting("dynamo")}
    (tmp_path / "parity.yml").write_text(yaml.safe_dump({**spec, "inputs": {"tensors": TOKENS}}))
    program = (
        "import sys; from parity.cli import main; status = main(['check', 'parity.yml']); "
        "print(sorted({'torch', 'transformers', 'onnxruntime'} & set(sys.modules)), status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=os.environ,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.endswith("[] 0\n"), done.stdout + done.stderr
