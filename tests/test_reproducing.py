"""The `repro/` folder: run as its reader runs it, with Python, NumPy and ONNX Runtime alone."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from support.projects import FEATURES, Finished, Project, run_parity, write_onnx

from parity.records.plan import selects

SAMPLES = {"samples": 3, "tensors": {"x": {"shape": [2, FEATURES], "dtype": "float32"}}}


def folders(root: Path) -> list[Path]:
    """Those that were saved."""
    return sorted((root / "parity-report" / "repro").glob("*"))


def ran(script: Path, *arguments: str, cwd: Path) -> str:
    """What the script prints; parity is out of its reach."""
    code = (
        "import sys, runpy; sys.modules['parity'] = None; sys.argv = sys.argv[1:]; "
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, str(script), *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def failing(root: Path, **changes: object) -> Finished:
    project = Project(root)
    write_onnx(root / "model.onnx", bias_shift=0.01)
    return project.run("--diagnose", "never", **{"inputs": SAMPLES, **changes})


def test_the_script_shows_the_difference_of_the_worst_case(tmp_path: Path) -> None:
    root = tmp_path / "project"
    root.mkdir()
    done = failing(root)
    assert done.status == 1
    (folder,) = folders(root)
    (case,) = (case for case in done.cases.values() if case["repro"])
    assert case["repro"] == {"folder": f"repro/{folder.name}", "note": ""}
    factors = {c["id"]: c["outputs"][0]["factor"] for c in done.cases.values()}
    assert factors[case["id"]] == max(factors.values())
    (worst,) = done.results["worst"]
    assert (worst["case"], worst["output"], worst["factor"]) == (case["id"], "y", factors[case["id"]])
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    told = ran(folder / "repro.py", cwd=elsewhere)
    found = re.fullmatch(r"y: (\S+) from the reference, (\S+) from the gate's own run\n", told)
    assert found
    assert float(found[1]) == pytest.approx(case["outputs"][0]["max_abs"], rel=1e-5)
    assert float(found[2]) == 0
    write_onnx(root / "mended.onnx")
    mended = ran(folder / "repro.py", str(root / "mended.onnx"), cwd=elsewhere)
    assert float(mended.split()[1]) < 1e-5
    for report in (done.stdout, (root / "parity-report" / "summary.md").read_text()):
        assert f"repro/{folder.name}/repro.py" in report.replace("&#95;", "_").replace("\n", "")
    assert f"parity run parity.yml --case {case['id']}" in done.stdout


def test_the_very_case_runs_again_by_its_id(tmp_path: Path) -> None:
    first = failing(tmp_path)
    worst = first.results["worst"][0]["case"]
    again = run_parity("run", "parity.yml", "--diagnose", "never", "--case", worst, cwd=tmp_path)
    assert list(again.cases) == [worst]
    for key in ("inputs", "outputs"):
        mine, theirs = (
            [{k: v for k, v in one.items() if k != "file"} for one in done.cases[worst][key]]
            for done in (first, again)
        )
        assert mine == theirs


@pytest.mark.parametrize("case", ["a/cpu/x[1]/m", "a/cpu/x=*/m", "a/cpu/[!b]?/m#2"])
def test_an_id_selects_itself_whatever_is_in_it(case: str) -> None:
    assert selects(case, case)
    assert selects("a/*", case)
    assert not selects("b/*", case)


def test_nothing_is_saved_of_what_passes_and_old_folders_go(tmp_path: Path) -> None:
    failing(tmp_path)
    (foreign,) = (tmp_path / "parity-report" / "repro" / "mine",)
    foreign.mkdir()
    (foreign / "repro.py").write_text("print(1)\n")
    write_onnx(tmp_path / "model.onnx")
    done = run_parity("run", "parity.yml", cwd=tmp_path)
    assert done.status == 0, done.stdout
    assert folders(tmp_path) == [foreign]
    assert all(case["repro"] is None for case in done.cases.values())


def test_tensors_beyond_the_limit_are_left_out_with_a_note(tmp_path: Path) -> None:
    done = failing(tmp_path, limits={"repro": "100B"})
    assert done.status == 1
    assert folders(tmp_path) == []
    (repro,) = (case["repro"] for case in done.cases.values() if case["repro"])
    assert repro["folder"] == ""
    assert "limits.repro is" in repro["note"]
    assert "not saved: its tensors have" in done.stdout


def test_a_folder_that_cant_be_written_costs_no_verdict(tmp_path: Path) -> None:
    (tmp_path / "parity-report").mkdir()
    (tmp_path / "parity-report" / "repro").touch()
    done = failing(tmp_path)
    assert done.status == 1
    assert [c["repro"]["note"] for c in done.cases.values() if c["repro"]] == ["not saved: Not a directory"]


ODD = "a/b\n\"'\\ü{x}"
COPIES = """\
import torch

class Model(torch.nn.Module):
    def forward(self, x, n):
        return {"f": x + 1, "n": n, "h": x.half()}

def build():
    return Model()
"""


def test_any_name_and_dtype_survives(tmp_path: Path) -> None:
    project = Project(tmp_path)
    (tmp_path / "model.py").write_text(COPIES)
    graph = helper.make_graph(
        [
            helper.make_node("Identity", ["x"], [ODD]),
            helper.make_node("Add", ["n", "n"], ["n2"]),
            helper.make_node("Cast", ["x"], ["h"], to=TensorProto.FLOAT16),
        ],
        "g",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, [2]),
            helper.make_tensor_value_info("n", TensorProto.INT64, [0]),
        ],
        [
            helper.make_tensor_value_info(ODD, TensorProto.FLOAT, [2]),
            helper.make_tensor_value_info("n2", TensorProto.INT64, [0]),
            helper.make_tensor_value_info("h", TensorProto.FLOAT16, [2]),
        ],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10),
        tmp_path / "model.onnx",
    )
    tensors = {"x": {"shape": [2]}, "n": {"shape": [0], "dtype": "int64", "distribution": "zeros"}}
    done = project.run("--diagnose", "never", inputs={"tensors": tensors})
    assert done.status == 1, done.stdout + done.stderr
    (folder,) = folders(tmp_path)
    told = ran(folder / "repro.py", cwd=tmp_path)
    assert "ü{x}: 1 from the reference, 0 from" in told
    assert "n2: 0 from the reference" in told
    assert "h: 0 from the reference" in told


BFLOAT = """\
import torch

class Model(torch.nn.Module):
    def forward(self, x):
        return x + 1

def build():
    return Model()
"""


def test_what_numpy_has_no_name_for_is_kept_as_bits_and_said(tmp_path: Path) -> None:
    project = Project(tmp_path)
    (tmp_path / "model.py").write_text(BFLOAT)
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.BFLOAT16, [2])],
        [helper.make_tensor_value_info("y", TensorProto.BFLOAT16, [2])],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10),
        tmp_path / "model.onnx",
    )
    tensors = {"x": {"shape": [2], "dtype": "bfloat16"}}
    done = project.run("--diagnose", "never", inputs={"tensors": tensors})
    assert done.status == 1, done.stdout + done.stderr
    (folder,) = folders(tmp_path)
    assert "NumPy has no bfloat16" in done.results["cases"][0]["repro"]["note"]
    (file,) = (folder / "inputs").iterdir()
    assert np.load(file).dtype == np.uint16


STAGES = """\
def run(stages, inputs):
    (hidden,) = stages["first"](inputs["x"]).values()
    return stages["second"](x=hidden[:, :1].expand(-1, 4).contiguous())
"""


def test_each_failed_component_has_its_folder(tmp_path: Path) -> None:
    project = Project(tmp_path)
    (tmp_path / "pipeline.py").write_text(STAGES)
    write_onnx(tmp_path / "off.onnx", bias_shift=0.01)
    component = {"model": {"target": "model.py:build"}, "tolerances": {"*": {"atol": 1e-5}}}
    done = project.run(
        "--diagnose",
        "never",
        model=None,
        onnx=None,
        pipeline="pipeline.py:run",
        components={
            "first": {**component, "onnx": "off.onnx"},
            "second": {**component, "onnx": "off.onnx"},
        },
    )
    assert done.status == 1, done.stdout + done.stderr
    saved = folders(tmp_path)
    assert [folder.name.rpartition("-")[0] for folder in saved] == [
        f"small_cpu_sample_0_{name}" for name in ("first", "second")
    ]
    for folder in saved:
        assert float(ran(folder / "repro.py", cwd=tmp_path).split()[1]) == pytest.approx(0.01, rel=1e-3)
