"""One architecture by one exporter through `parity run`, as a user runs it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from models import SUPPORT
from models.architecture import Architecture
from parity.records.jobs import ModelJob
from parity.worker.modules import build_module

NOISE_FACTOR = 20
_TIMEOUT_S = 900
_ROW = "row.json"


@dataclass(frozen=True)
class Row:
    """What became of one architecture by one exporter.

    `verdict` is ``passed``, ``failed``, ``not exported`` or ``not judged``; `why` is the exporter's own
    reason, or the gate's. `output` is the one that uses most of its tolerance; `difference` and `floor` are
    its greatest absolute error and its float32 noise floor.
    """

    architecture: str
    kind: str
    loader: str
    exporter: str
    parameters: int
    verdict: str
    why: str = ""
    output: str = ""
    difference: float = 0.0
    floor: float = 0.0
    seconds: float = 0.0


def run(architecture: Architecture, exporters: Sequence[str], folder: Path) -> list[Row]:
    """A row for each exporter. `folder` gets what is made for them; rows that are there are not made anew."""
    folder.mkdir(parents=True, exist_ok=True)
    found = {exporter: _read(folder / exporter) for exporter in exporters}
    parameters = 0 if all(found.values()) else _count(architecture, folder)
    return [
        found[exporter]
        or _keep(folder / exporter, _run(architecture, exporter, parameters, folder / exporter))
        for exporter in exporters
    ]


def _read(folder: Path) -> Row | None:
    """A row that is there from an earlier run, which may have been ended in the middle."""
    file = folder / _ROW
    return Row(**json.loads(file.read_text("utf-8"))) if file.is_file() else None


def _keep(folder: Path, row: Row) -> Row:
    if row.verdict in ("passed", "not exported"):
        (folder / _ROW).write_text(json.dumps(asdict(row)), encoding="utf-8")
    return row


def specification(architecture: Architecture, exporter: str) -> dict[str, Any]:
    """The specification that is run."""
    opset = architecture.opset.get(exporter)
    export = {"exporter": exporter, **({"opset": opset} if opset else {})}
    return {
        "version": 1,
        "name": f"{architecture.name}-{exporter}",
        "model": architecture.model,
        "onnx": {"path": "model.onnx", "export": export},
        "inputs": {"tensors": architecture.tensors},
        "tolerances": {"*": {"noise_factor": NOISE_FACTOR}},
        "performance": {"runs": 0},
        "diagnose": "never",
    }


def _run(architecture: Architecture, exporter: str, parameters: int, folder: Path) -> Row:
    shutil.rmtree(folder, ignore_errors=True)  # an earlier run's results are no answer
    folder.mkdir()
    spec = specification(architecture, exporter)
    (folder / "parity.yml").write_text(yaml.safe_dump(spec, sort_keys=False), encoding="utf-8")
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "parity", "run", "parity.yml"],
        cwd=folder,
        env=_environment(),
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    seconds = time.perf_counter() - start
    about = (
        architecture.name,
        architecture.kind,
        str(spec["model"].get("loader", "python")),
        exporter,
        parameters,
    )
    results = folder / "parity-report" / "results.json"
    if not results.is_file():
        return Row(*about, "not judged", why=done.stderr.strip(), seconds=seconds)
    (case,) = json.loads(results.read_text("utf-8"))["cases"]
    if case["problem"] is not None:
        message: str = case["problem"]["message"]
        verdict = "not exported" if "exporter" in message else "not judged"
        return Row(*about, verdict, why=message, seconds=seconds)
    worst = max(case["outputs"], key=lambda output: float(output["factor"] or 0))
    return Row(
        *about,
        case["status"],
        output=worst["name"],
        difference=float(worst["max_abs"]),
        floor=float(worst["tolerance"]["noise_floor"] or 0),
        seconds=seconds,
        why=worst["problem"],
    )


def _count(architecture: Architecture, folder: Path) -> int:
    module, _ = build_module(ModelJob(**{"loader": "python", **architecture.model}), folder)
    return sum(parameter.numel() for parameter in module.parameters())


def _environment() -> dict[str, str]:
    """With the plain networks of the tests on the path."""
    return {**os.environ, "PYTHONPATH": str(SUPPORT)}
