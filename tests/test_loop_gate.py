"""Models with state through the real command: what ships runs on its own state, step after step."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import yaml
from onnx import numpy_helper
from support.projects import Finished, run_parity

LSTM = """\
import torch

class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.lstm = torch.nn.LSTM(16, 32, batch_first=True)
        self.head = torch.nn.Linear(32, 4)

    def forward(self, x, h_in, c_in):
        y, (h, c) = self.lstm(x, (h_in, c_in))
        return {"y": self.head(y), "h_out": h, "c_out": c}

def build():
    return Model()
"""

DECODER = """\
import torch

class Decoder(torch.nn.Module):
    \"\"\"One layer of attention over a cache that grows by one token with each step.\"\"\"

    def __init__(self, heads=2, size=8, vocabulary=32):
        super().__init__()
        torch.manual_seed(0)
        self.heads, self.size, width = heads, size, heads * size
        self.embed = torch.nn.Embedding(vocabulary, width)
        self.qkv = torch.nn.Linear(width, 3 * width)
        self.out = torch.nn.Linear(width, vocabulary)

    def forward(self, token, mask, k_in, v_in):
        x = self.embed(token)
        q, k, v = self.qkv(x).reshape(x.shape[0], 1, 3, self.heads, self.size).permute(2, 0, 3, 1, 4)
        k_out, v_out = torch.cat([k_in, k], 2), torch.cat([v_in, v], 2)
        scores = q @ k_out.transpose(2, 3) / self.size**0.5
        weights = (scores + mask[:, None, None, :]).softmax(-1)
        logits = self.out((weights @ v_out).transpose(1, 2).flatten(2))
        return {"logits": logits, "k_out": k_out, "v_out": v_out}

def build():
    return Decoder()
"""

STATE = {"shape": [1, 2, 32], "distribution": "zeros"}
LOOP = {"steps": 8, "state": {"h_out": "h_in", "c_out": "c_in"}, "split": {"x": 1}}
STEPS = 8


def lstm(folder: Path, exporter: str = "torchscript", **changes: Any) -> Finished:
    (folder / "model.py").write_text(LSTM)
    spec: dict[str, Any] = {
        "version": 1,
        "name": "lstm",
        "model": {"target": "model.py:build"},
        "onnx": {"path": "build/lstm.onnx", "export": {"exporter": exporter}},
        "inputs": {"tensors": {"x": {"shape": [2, STEPS, 16]}, "h_in": STATE, "c_in": STATE}},
        "loop": LOOP,
        "tolerances": {"*": {"atol": 2e-6}},
        "performance": {"runs": 0},
    }
    return run(folder, {**spec, **changes})


def run(folder: Path, spec: dict[str, Any]) -> Finished:
    given = {key: value for key, value in spec.items() if value is not None}
    (folder / "parity.yml").write_text(yaml.safe_dump(given, sort_keys=False))
    return run_parity("run", "parity.yml", cwd=folder)


def scale_columns(path: Path, columns: slice, factor: float) -> None:
    """Alters the weights that the hidden state is multiplied with."""
    model = onnx.load(path)
    (tensor,) = (one for one in model.graph.initializer if one.name == "lstm.weight_hh_l0")
    weight = numpy_helper.to_array(tensor).copy()
    weight[..., columns] *= factor
    tensor.CopyFrom(numpy_helper.from_array(weight, tensor.name))
    onnx.save(model, path)


@pytest.mark.parametrize("exporter", ["torchscript", "dynamo"])
def test_a_stateful_lstm_over_eight_steps_passes(tmp_path: Path, exporter: str) -> None:
    done = lstm(tmp_path, exporter, performance={"runs": 3})
    assert done.status == 0, done.stdout + done.stderr
    (case,) = done.results["cases"]
    assert case["id"] == "lstm/cpu/sample=0/model"
    assert {output["name"] for output in case["outputs"]} == {"y", "h_out", "c_out"}
    for output in case["outputs"]:
        assert len(output["steps"]) == STEPS
        assert output["max_abs"] == output["steps"][output["step"] - 1]["max_abs"]
        assert output["factor"] == max(step["factor"] for step in output["steps"])
        # Nothing has gone before the first step: on its own state it is the step alone.
        assert output["steps"][0]["max_abs"] == output["steps"][0]["alone_max_abs"]
    assert case["candidate_performance"]["latency_ms"] > 0
    assert ", 8 steps, " in done.stdout


def test_a_fault_in_the_recurrent_weight_is_found_and_its_growth_shown(tmp_path: Path) -> None:
    assert lstm(tmp_path).status == 0
    scale_columns(tmp_path / "build" / "lstm.onnx", slice(0, 32), 1.5)
    done = lstm(tmp_path, onnx="build/lstm.onnx")
    assert done.status == 1, done.stdout + done.stderr
    (case,) = done.results["cases"]
    (output,) = (one for one in case["outputs"] if one["name"] == "h_out")
    free = [step["max_abs"] for step in output["steps"]]
    # The state is zero at first, so that its weights do nothing: the first step is right.
    assert [step["status"] for step in output["steps"]] == ["passed", *["failed"] * 7]
    assert free[0] < 1e-6 < free[1] < free[2] < free[3]
    # A step alone starts from the right state: from the second on it has less than what has added up.
    assert all(step["alone_max_abs"] < step["max_abs"] for step in output["steps"][2:])
    assert output["diagnosis"]["dominant_leg"] == "export"
    assert output["diagnosed_step"] > 1
    assert output["diagnosis"]["causes"][0]["kind"] == "initializer"
    assert "first beyond in step 2 of 8" in done.stdout
    assert "alone, on the reference's own state" in done.stdout
    # What is saved is the step at fault: the first one, in which the fault does nothing, would look sound.
    assert f"step {output['diagnosed_step']} of 8 alone" in case["repro"]["note"]
    script = tmp_path / "parity-report" / case["repro"]["folder"] / "repro.py"
    told = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True).stdout
    (line,) = (line for line in told.splitlines() if line.startswith("h_out: "))
    assert float(line.split()[1]) == pytest.approx(
        output["steps"][output["diagnosed_step"] - 1]["alone_max_abs"], rel=1e-4
    )
    summary = (tmp_path / "parity-report" / "summary.md").read_text()
    assert "### Steps" in summary
    names = [
        (entry.get("classname"), entry.get("name"))
        for entry in ET.parse(tmp_path / "parity-report" / "junit.xml").iter("testcase")
    ]
    assert names == [("lstm.cpu/sample=0/model", name) for name in ("y", "h_out", "c_out")]


def test_what_only_adds_up_is_told_from_a_faulty_step(tmp_path: Path) -> None:
    """A gain that is a little too high: each step alone is within tolerance, eight of them are not."""
    (tmp_path / "model.py").write_text(
        "import torch\n"
        "class Gain(torch.nn.Module):\n"
        "    def __init__(self, by):\n"
        "        super().__init__()\n"
        "        self.by = torch.nn.Parameter(torch.tensor(by))\n"
        "    def forward(self, s_in):\n"
        "        return {'s_out': s_in * self.by}\n"
        "def build(by=1.0):\n"
        "    return Gain(by)\n"
    )
    spec = {
        "version": 1,
        "name": "gain",
        "model": {"target": "model.py:build", "args": {"by": 1.001}},
        "onnx": {"path": "gain.onnx", "export": {"exporter": "torchscript"}},
        "inputs": {"tensors": {"s_in": {"shape": [4], "distribution": "ones"}}},
        "loop": {"steps": 8, "state": {"s_out": "s_in"}},
        "tolerances": {"*": {"atol": 4e-3}},
        "performance": {"runs": 0},
    }
    assert run(tmp_path, spec).status == 0
    done = run(tmp_path, {**spec, "model": {"target": "model.py:build"}, "onnx": "gain.onnx"})
    assert done.status == 1, done.stdout + done.stderr
    (output,) = done.results["cases"][0]["outputs"]
    assert [step["status"] for step in output["steps"]] == ["passed"] * 3 + ["failed"] * 5
    assert {step["alone_status"] for step in output["steps"]} == {"passed"}
    assert output["step"] == 8
    assert output["max_abs"] == pytest.approx(1.001**8 - 1, rel=1e-3)
    assert "errors add up" in done.stdout


@pytest.mark.parametrize("exporter", ["torchscript", "dynamo"])
def test_a_cache_that_grows_with_every_step(tmp_path: Path, exporter: str) -> None:
    (tmp_path / "model.py").write_text(DECODER)
    dynamic = {"mask": {1: "total"}, "k_in": {2: "past"}, "v_in": {2: "past"}}
    cache = {"shape": [1, 2, 2, 8]}
    spec = {
        "version": 1,
        "name": "decoder",
        "model": {"target": "model.py:build"},
        "onnx": {"path": "decoder.onnx", "export": {"exporter": exporter, "dynamic_shapes": dynamic}},
        "inputs": {
            "tensors": {
                "token": {"shape": [1, 6], "dtype": "int64", "distribution": "integers", "high": 32},
                "mask": {"shape": [1, 8], "distribution": "zeros"},
                "k_in": cache,
                "v_in": cache,
            }
        },
        "loop": {
            "steps": 6,
            "state": {"k_out": "k_in", "v_out": "v_in"},
            "split": {"token": 1},
            "grow": {"mask": 1},
        },
        "tolerances": {"*": {"atol": 1e-5}},
        "performance": {"runs": 3},
    }
    done = run(tmp_path, spec)
    assert done.status == 0, done.stdout + done.stderr
    (case,) = done.results["cases"]
    shapes = {output["name"]: output for output in case["outputs"]}
    grown = shapes["k_out"]
    assert grown["shape"] == [1, 2, 2 + grown["step"], 8]
    assert len(grown["steps"]) == 6


WRONG_NAMES = {
    "output": ({"h_ot": "h_in", "c_out": "c_in"}, "has no output 'h_ot'", "did you mean 'h_out'?"),
    "input": ({"h_out": "h_in", "c_out": "c_inn"}, "no input 'c_inn'", "did you mean 'c_in'?"),
}


@pytest.mark.parametrize("name", WRONG_NAMES)
def test_a_wrong_name_is_an_error_of_the_specification_at_its_place(tmp_path: Path, name: str) -> None:
    state, problem, fix = WRONG_NAMES[name]
    arrays = {"x": (2, STEPS, 16), "h_in": (1, 2, 32), "c_in": (1, 2, 32)}
    np.savez(tmp_path / "x.npz", **{key: np.zeros(shape, np.float32) for key, shape in arrays.items()})
    done = lstm(tmp_path, inputs={"files": "x.npz"}, loop={**LOOP, "state": state})
    assert done.status == 2, done.stdout + done.stderr
    (case,) = done.results["cases"]
    assert problem in case["problem"]["message"]
    assert case["problem"]["fix"] == fix
    lines = (tmp_path / "parity.yml").read_text().splitlines()
    line = int(case["problem"]["at"].split(":")[1])
    assert next(iter(set(state) - {"h_out", "c_out"}), "c_out") in lines[line - 1]


def test_an_input_that_the_steps_can_not_share_is_an_error(tmp_path: Path) -> None:
    done = lstm(tmp_path, loop={**LOOP, "steps": 3})
    assert done.status == 2, done.stdout + done.stderr
    assert "a size of a multiple of 3" in done.stdout


CHAIN = """\
import torch

def run(stages, inputs):
    last = stages["lstm"](inputs["x"], inputs["h_in"], inputs["c_in"])
    every = torch.cat([step["y"] for step in last.steps], 1)
    return {"last": last["h_out"], "every": every}
"""


def test_a_component_with_state_runs_its_steps_in_each_call(tmp_path: Path) -> None:
    (tmp_path / "chain.py").write_text(CHAIN)
    assert lstm(tmp_path).status == 0
    component = {
        "model": {"target": "model.py:build"},
        "onnx": "build/lstm.onnx",
        "loop": LOOP,
        "tolerances": {"*": {"atol": 2e-6}},
    }
    instead = {"components": {"lstm": component}, "pipeline": "chain.py:run", "performance": {"runs": 2}}
    done = lstm(tmp_path, model=None, onnx=None, loop=None, **instead)
    assert done.status == 0, done.stdout + done.stderr
    cases = {case["subject"]: case for case in done.results["cases"]}
    assert list(cases) == ["lstm", "pipeline"]
    assert all(len(output["steps"]) == STEPS for output in cases["lstm"]["outputs"])
    assert {output["name"]: output["shape"] for output in cases["pipeline"]["outputs"]} == {
        "last": [1, 2, 32],
        "every": [2, STEPS, 4],
    }
    scale_columns(tmp_path / "build" / "lstm.onnx", slice(0, 8), 1.5)
    done = run_parity("run", "parity.yml", cwd=tmp_path)
    assert done.status == 1
    assert {case["subject"]: case["status"] for case in done.results["cases"]} == {
        "lstm": "failed",
        "pipeline": "failed",
    }


def test_two_files_with_state_are_compared_on_their_own_states(tmp_path: Path) -> None:
    """ONNX against ONNX: a file, and the same with another recurrent weight."""
    assert lstm(tmp_path).status == 0
    right, wrong = tmp_path / "build" / "lstm.onnx", tmp_path / "wrong.onnx"
    wrong.write_bytes(right.read_bytes())
    scale_columns(wrong, slice(0, 32), 1.5)
    other = {"backend": "onnxruntime", "device": "cpu", "onnx": "wrong.onnx"}
    optimized = {"backend": "onnxruntime", "device": "cpu", "optimization": "all"}
    pairs = [{"reference": "onnxruntime@cpu", "candidate": side} for side in (optimized, other)]
    done = lstm(tmp_path, model=None, onnx="build/lstm.onnx", comparisons=pairs, performance={"runs": 2})
    assert done.status == 1, done.stdout + done.stderr
    sound, faulty = done.results["cases"]
    assert (sound["status"], faulty["status"]) == ("passed", "failed")
    for case in (sound, faulty):
        assert all(len(output["steps"]) == STEPS for output in case["outputs"])
        assert case["reference_performance"]["latency_ms"] > 0
    assert [step["status"] for step in faulty["outputs"][0]["steps"]] == ["passed", *["failed"] * 7]
