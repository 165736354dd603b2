"""The gate from the outside: specifications in, judged outputs and an exit status out."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from support.projects import FEATURES, Project, run_parity, write_onnx

TWO_STAGES = """\
def run(stages, inputs):
    hidden = stages["first"](inputs["x"])
    (name,) = hidden
    return {"result": next(iter(stages["second"](hidden[name]).values())), "hidden": hidden[name]}
"""

SECOND = """\
import torch

def build():
    return torch.nn.Sequential(torch.nn.Softmax(dim=1))
"""


def test_a_sound_model_passes_with_every_figure_in_the_results(tmp_path: Path) -> None:
    done = Project(tmp_path).run(performance={"runs": 3})
    assert done.status == 0, done.stdout + done.stderr
    (case,) = done.results["cases"]
    assert case["id"] == "small/cpu/sample=0/model"
    assert case["inputs"][0]["sha256"]
    for side in ("reference_performance", "candidate_performance"):
        assert case[side]["runs"] == 3
        assert case[side]["latency_ms"] > 0
        assert case[side]["peak_rss_bytes"] > 2**20
    (output,) = case["outputs"]
    assert output["measurement"]["elements"] == 6
    assert output["factor"] <= 1
    (suite,) = done.results["suites"]
    settings = {side["side"]: side["settings"] for side in suite["sides"]}
    assert settings["onnxruntime@cpu"]["optimization"] == "disable_all"
    assert settings["torch@cpu"]["torch.backends.cudnn.benchmark"] is False
    assert done.results["environment"]["versions"]["torch"]


def test_a_fault_is_named_with_output_factor_and_index(tmp_path: Path) -> None:
    project = Project(tmp_path)
    write_onnx(tmp_path / "model.onnx", bias_shift=0.01)
    done = project.run()
    assert done.status == 1
    (output,) = done.results["cases"][0]["outputs"]
    assert output["status"] == "failed"
    assert output["factor"] == pytest.approx(1000, rel=0.01)
    assert len(output["measurement"]["worst"]["index"]) == 2
    assert "y" in done.stdout
    suite = ET.parse(tmp_path / "parity-report" / "junit.xml").getroot().find("testsuite")
    assert suite is not None
    assert suite.get("failures") == "1"
    assert (tmp_path / "parity-report" / "summary.md").read_text().startswith("## ")


@pytest.mark.parametrize(
    ("exporter", "opset"), [("torchscript", 16), ("dynamo", 18)], ids=["torchscript", "dynamo"]
)
def test_the_gate_exports_the_model_itself(tmp_path: Path, exporter: str, opset: int) -> None:
    export = {"exporter": exporter, "opset": opset, "dynamic_shapes": {"x": {0: "batch"}}}
    tensors = {"x": {"shape": ["batch", FEATURES], "dtype": "float32", "distribution": "uniform"}}
    done = Project(tmp_path).run(
        onnx={"path": "build/exported.onnx", "export": export},
        inputs={"dims": {"batch": [1, 3]}, "samples": 2, "tensors": tensors},
        tolerances=None,
    )
    assert done.status == 0, done.stdout + done.stderr
    assert (tmp_path / "build" / "exported.onnx").stat().st_size > 0
    assert {case["input_set"] for case in done.results["cases"]} == {
        f"batch={batch},sample={sample}" for batch in (1, 3) for sample in (0, 1)
    }
    assert done.results["suites"][0]["exports"]["model"]["exporter"] == exporter


def test_components_are_judged_alone_and_the_chain_end_to_end(tmp_path: Path) -> None:
    project = Project(tmp_path)
    (tmp_path / "second.py").write_text(SECOND)
    (tmp_path / "chain.py").write_text(TWO_STAGES)
    write_onnx(tmp_path / "model.onnx", bias_shift=0.01)  # the fault is in the first component
    done = project.run(
        model=None,
        onnx=None,
        components={
            "first": {
                "model": {"loader": "python", "target": "model.py:build"},
                "onnx": "model.onnx",
                "tolerances": {"*": {"atol": 1e-5}},
            },
            "second": {
                "model": {"loader": "python", "target": "second.py:build"},
                "onnx": {"path": "second.onnx", "export": {"exporter": "torchscript"}},
                "tolerances": {"*": {"atol": 1e-5}},
            },
        },
        pipeline="chain.py:run",
    )
    assert done.status == 1, done.stdout + done.stderr
    status = {case["subject"]: case["status"] for case in done.results["cases"]}
    assert status == {"first": "failed", "second": "passed", "pipeline": "failed"}
    chain = {output["name"] for case in done.results["cases"][2:] for output in case["outputs"]}
    assert chain == {"result", "hidden"}


def test_a_component_that_the_pipeline_never_calls_is_no_pass(tmp_path: Path) -> None:
    project = Project(tmp_path)
    (tmp_path / "chain.py").write_text("def run(stages, inputs):\n    return stages['first'](inputs['x'])\n")
    first = {"model": project.spec["model"], "onnx": "model.onnx", "tolerances": {"*": {"atol": 1e-5}}}
    done = project.run(
        model=None, onnx=None, components={"first": first, "second": first}, pipeline="chain.py:run"
    )
    assert done.status == 3
    (never,) = (case for case in done.results["cases"] if case["subject"] == "second")
    assert "never called" in never["problem"]["message"]


def test_a_run_of_empty_tensors_alone_has_compared_nothing(tmp_path: Path) -> None:
    project = Project(tmp_path)
    np.savez(tmp_path / "empty.npz", x=np.empty((0, FEATURES), np.float32))
    done = project.run(inputs={"files": "empty.npz"})
    assert done.status == 3
    assert "nothing was compared" in done.stdout


def test_a_provider_decides_how_many_cases_there_are(tmp_path: Path) -> None:
    project = Project(tmp_path)
    (tmp_path / "data.py").write_text(
        "import numpy as np\n"
        "def samples():\n"
        "    for seed in range(3):\n"
        "        yield {'x': np.random.default_rng(seed).normal(size=(seed + 1, 4)).astype('float32')}\n"
    )
    done = project.run(inputs={"provider": "data.py:samples"})
    assert done.status == 0, done.stdout + done.stderr
    assert [case["inputs"][0]["shape"] for case in done.results["cases"]] == [[1, 4], [2, 4], [3, 4]]


STREAM = """\
import os, sys
import numpy as np

def samples():
    for index in range(3):
        yield {{"x": np.full((1, 4), index, "float32")}}
    {end}
"""
ENDLESS = """\
from itertools import count
import numpy as np

def samples():
    for index in count():
        open("order.txt", "a").write(f"yield {index} ")
        yield {"x": np.full((1, 4), index, "float32")}
"""


@pytest.mark.parametrize(
    ("end", "said"),
    [
        ("1 / 0", "ZeroDivisionError while asking data.py:samples for inputs"),
        ("yield 5", "input set 3: it is an object of type int"),
        ("sys.exit(0)", "sys.exit(0)"),
        ("os._exit(0)", "the process ended with status 0"),
    ],
)
def test_what_a_provider_yields_before_it_fails_is_judged(tmp_path: Path, end: str, said: str) -> None:
    project = Project(tmp_path)
    (tmp_path / "data.py").write_text(STREAM.format(end=end))
    done = project.run(inputs={"provider": "data.py:samples"})
    assert done.status == 3, done.stdout + done.stderr
    assert {case["input_set"]: case["status"] for case in done.results["cases"]} == {
        "0": "passed",
        "1": "passed",
        "2": "passed",
        "3": "error",
    }
    assert said in done.case("3")["problem"]["message"]


def test_a_provider_without_end_is_run_set_by_set(tmp_path: Path) -> None:
    """The second set is yielded after the first was run: no more than one is under way."""
    before = "open('order.txt', 'a').write(f'run {int(x[0, 0])} ')"
    project = Project(tmp_path, before=before)
    (tmp_path / "data.py").write_text(ENDLESS)
    done = project.run("--diagnose", "never", inputs={"provider": "data.py:samples", "samples": 3})
    assert done.status == 0, done.stdout + done.stderr
    assert (tmp_path / "order.txt").read_text() == "yield 0 run 0 yield 1 run 1 yield 2 run 2 "
    project.write_spec(inputs={"provider": "data.py:samples"})
    chosen = run_parity("run", "parity.yml", "--case", "small/cpu/2/model", cwd=tmp_path)  # and it ends
    assert (chosen.status, list(chosen.cases)) == (0, ["small/cpu/2/model"])
    assert chosen.cases["small/cpu/2/model"]["inputs"][0]["sha256"] == done.case("2")["inputs"][0]["sha256"]


def test_kept_tensors_are_the_ones_that_were_compared(tmp_path: Path) -> None:
    done = Project(tmp_path).run("--keep", "kept")
    assert done.status == 0
    again = run_parity("run", "parity.yml", "--keep", "kept", cwd=tmp_path)
    assert again.status == 2
    assert "--keep" in again.stderr
    (reference,) = (tmp_path / "kept").glob("**/reference/**/outputs/*.npy")
    (candidate,) = (tmp_path / "kept").glob("**/candidate/**/*.npy")
    np.testing.assert_allclose(np.load(candidate), np.load(reference), atol=1e-6)
