"""The gate on the example, as its README says: sound, broken, and on recorded sweeps."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "centerpoint"
SWEEP = ROOT.parent / "shared" / "data" / "nuscenes_lidar_top.pcd.bin"
HEADS = {"heatmap", "reg", "height", "dim", "rot", "vel"}


@pytest.fixture(scope="module", autouse=True)
def _prepared() -> None:
    subprocess.run([sys.executable, str(EXAMPLE / "prepare.py")], check=True, capture_output=True)


def gate(
    spec: str, report: Path, **environment: str
) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-m", "parity", "run", str(EXAMPLE / spec), "--report-dir", str(report)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, **environment},
    )
    return done, json.loads((report / "results.json").read_text())


def test_a_sound_export_passes(tmp_path: Path) -> None:
    done, results = gate("parity.yml", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    subjects = {case["subject"] for case in results["cases"]}
    assert subjects == {"voxel_encoder", "backbone_head", "pipeline"}
    chain = next(case for case in results["cases"] if case["subject"] == "pipeline")
    assert {output["name"] for output in chain["outputs"]} == HEADS
    exports = results["suites"][0]["exports"]
    assert exports["backbone_head"]["opset"] == 16
    assert exports["backbone_head"]["constant_folding"] is False
    timed = [case for case in results["cases"] if case["reference_performance"]["latency_ms"]]
    assert [case["subject"] for case in timed] == ["pipeline"]


def test_the_planted_fault_fails_where_it_is(tmp_path: Path) -> None:
    done, results = gate("broken.yml", tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    status: dict[str, set[str]] = {}
    for case in results["cases"]:
        status.setdefault(case["subject"], set()).add(case["status"])
    assert status == {"voxel_encoder": {"passed"}, "backbone_head": {"failed"}, "pipeline": {"failed"}}
    for case in results["cases"]:
        for output in case["outputs"]:
            if case["subject"] != "voxel_encoder":
                assert output["factor"] > 50
                assert f"{output['name']}" in done.stdout
                assert len(output["measurement"]["worst"]["index"]) == 4


@pytest.mark.skipif(not SWEEP.exists(), reason=f"no recorded sweep at {SWEEP.parent.name}/{SWEEP.name}")
def test_a_recorded_sweep_goes_the_same_way(tmp_path: Path) -> None:
    done, results = gate("sweep.yml", tmp_path, CENTERPOINT_SWEEPS=str(SWEEP))
    assert done.returncode == 0, done.stdout + done.stderr
    (chain,) = (case for case in results["cases"] if case["subject"] == "pipeline")
    (points,) = chain["inputs"]
    assert points["shape"] == [34688, 5]
