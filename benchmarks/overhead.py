"""Whole-process wall time of the gate on CenterPoint against a bare script, interleaved, as a ratio.

    python benchmarks/overhead.py [--rounds 5]

Two rows: the gate without latencies against the bare script, and the gate as it comes against the bare
script that times the same number of runs. The bare script is `bare_centerpoint.py`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "examples" / "centerpoint"
TIMED_RUNS = 5  # the specification's default


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds: int = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        onnx_files = _export(directory)
        table = Table("what", "gate", "bare script", "ratio (median)", "ratio (range)")
        for title, timed_runs in (("verdict alone", 0), ("with latencies", TIMED_RUNS)):
            spec = _specification(onnx_files, timed_runs)
            gate = [sys.executable, "-m", "parity", "run", str(spec), "--report-dir", f"{directory}/report"]
            _seconds(gate)  # warms the caches, and says how many runs the gate's time budget came to
            timed = _timed_runs(directory / "report" / "results.json")
            bare = [sys.executable, "benchmarks/bare_centerpoint.py", *onnx_files, str(timed)]
            pairs = [(_seconds(gate), _seconds(bare)) for _ in range(rounds + 1)][
                1:
            ]  # the first warms caches
            ratios = [ours / theirs for ours, theirs in pairs]
            table.add_row(
                title,
                f"{statistics.median(ours for ours, _ in pairs):.2f} s",
                f"{statistics.median(theirs for _, theirs in pairs):.2f} s",
                f"{statistics.median(ratios):.2f}",
                f"{min(ratios):.2f} to {max(ratios):.2f}",
            )
    Console().print(table)


def _export(directory: Path) -> list[str]:
    """The gate's own export, once; the comparison runs on the files."""
    _seconds([sys.executable, "examples/centerpoint/prepare.py"])
    spec = EXAMPLE / "parity.yml"
    _seconds([sys.executable, "-m", "parity", "run", str(spec), "--report-dir", f"{directory}/export"])
    components = yaml.safe_load(spec.read_text())["components"]
    return [str((EXAMPLE / part["onnx"]["path"]).resolve()) for part in components.values()]


def _specification(onnx_files: list[str], timed_runs: int) -> Path:
    spec = yaml.safe_load((EXAMPLE / "parity.yml").read_text())
    for part, file in zip(spec["components"].values(), onnx_files, strict=True):
        part["onnx"] = file
    spec["performance"] = {"runs": timed_runs}
    # Relative paths start at the specification's folder, so it has to lie beside the example's files.
    path = EXAMPLE / "build" / f"overhead-{timed_runs}.yml"
    for part in spec["components"].values():
        for key in ("target", "config", "checkpoint"):
            part["model"][key] = f"{EXAMPLE}/{part['model'][key]}"
    spec["pipeline"] = f"{EXAMPLE}/{spec['pipeline']}"
    spec["inputs"]["provider"] = f"{EXAMPLE}/{spec['inputs']['provider']}"
    path.write_text(yaml.safe_dump(spec, sort_keys=False))
    return path


def _timed_runs(results: Path) -> int:
    cases = json.loads(results.read_text())["cases"]
    return max(case["candidate_performance"]["runs"] for case in cases)


def _seconds(command: list[str]) -> float:
    started = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\nended with {done.returncode}\n{done.stdout}\n{done.stderr}")
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
