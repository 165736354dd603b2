"""Limits of latency and memory through the real command; no test asserts seconds."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.projects import Finished, Project, run_parity

LARGE = """\
import torch

def build():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(4096, 4096), torch.nn.ReLU())
"""


def limited(folder: Path, **performance: Any) -> Finished:
    return Project(folder).run(performance={"runs": 5, **performance})


def test_a_limit_that_is_kept_is_a_test_case_of_its_own(tmp_path: Path) -> None:
    done = limited(tmp_path, max_latency_ratio=1e6)
    assert done.status == 0, done.stdout + done.stderr
    (case,) = done.results["cases"]
    (check,) = case["performance"]
    assert (check["limit_name"], check["limit"], check["status"]) == ("max_latency_ratio", 1e6, "passed")
    assert check["ratio"] > 0
    for side in ("reference_performance", "candidate_performance"):
        cost = case[side]
        assert 0 < cost["latency_min_ms"] <= cost["latency_ms"] <= cost["latency_p90_ms"]
        assert (cost["runs"], cost["warmup"]) == (5, 1)
        assert cost["own_bytes"] < cost["peak_rss_bytes"]
    entries = list(ET.parse(tmp_path / "parity-report" / "junit.xml").iter("testcase"))
    assert [entry.get("name") for entry in entries] == ["y", "max_latency_ratio"]


def test_a_limit_that_is_exceeded_fails_the_build_at_its_place(tmp_path: Path) -> None:
    done = limited(tmp_path, max_latency_ratio=1e-6)
    assert done.status == 1, done.stdout + done.stderr
    (case,) = done.results["cases"]
    assert case["status"] == "passed"  # its outputs are
    (check,) = case["performance"]
    assert check["status"] == "failed"
    lines = (tmp_path / "parity.yml").read_text().splitlines()
    assert "max_latency_ratio" in lines[int(check["at"].split(":")[1]) - 1]
    assert "✗ max_latency_ratio  latency" in done.stdout
    assert "1 limit of latency or memory exceeded" in done.stdout
    assert "### Beyond its limit" in (tmp_path / "parity-report" / "summary.md").read_text()
    (failure,) = ET.parse(tmp_path / "parity-report" / "junit.xml").iter("failure")
    assert "the reference's" in (failure.get("message") or "")
    again = run_parity("report", "parity-report/results.json", cwd=tmp_path)
    assert again.status == 1


def test_memory_that_is_too_little_to_compare_is_not_judged(tmp_path: Path) -> None:
    done = limited(tmp_path, max_memory_ratio=2)
    assert done.status == 3, done.stdout + done.stderr
    assert "max_memory_ratio: the reference takes" in done.stdout
    (error,) = ET.parse(tmp_path / "parity-report" / "junit.xml").iter("error")
    assert "of its own" in (error.get("message") or "")


@pytest.mark.parametrize(("limit", "status"), [(20.0, 0), (0.1, 1)])
def test_memory_of_a_large_model(tmp_path: Path, limit: float, status: int) -> None:
    """64 MiB of weights on both sides, and an export that is not counted as the reference's."""
    (tmp_path / "model.py").write_text(LARGE)
    spec = {
        "version": 1,
        "name": "large",
        "model": {"target": "model.py:build"},
        "onnx": {"path": "large.onnx", "export": {"exporter": "torchscript"}},
        "inputs": {"tensors": {"x": {"shape": [1, 4096]}}},
        "tolerances": {"*": {"atol": 1e-4}},
        "performance": {"runs": 1, "max_memory_ratio": limit},
    }
    (tmp_path / "parity.yml").write_text(yaml.safe_dump(spec))
    done = run_parity("run", "parity.yml", cwd=tmp_path)
    assert done.status == status, done.stdout + done.stderr
    (case,) = done.results["cases"]
    reference, candidate = (case[f"{side}_performance"]["own_bytes"] for side in ("reference", "candidate"))
    assert 64 * 2**20 < reference < 200 * 2**20
    assert 64 * 2**20 < candidate < 300 * 2**20
