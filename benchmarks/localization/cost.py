"""What a diagnosis costs: seconds against one forward of either side, memory against a forward in float64.

Every measurement has a process of its own, since a diagnosis is made once in a worker's life; those of one
network take turns. It is wall time, so the machine must have nothing else to do.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from parity.records.jobs import Exporter
from parity.records.requests import Diagnose

from .stale import measure_look_up

ROUNDS = 3
FORWARDS = (
    6.0  # times (one PyTorch forward + one ONNX Runtime run): the bar where a forward takes over a second
)
MEMORY = 2.0  # times the peak of a float64 forward: the bar beside it
SECONDS = 2.0  # the bar of the small network
_ENTRY = Path(__file__).parents[1] / "localization.py"


@dataclass(frozen=True)
class Costly:
    """A network with a fault in its file; `large`: which bars it is held against."""

    subject: str
    exporter: Exporter
    fault: str
    large: bool


NETWORKS = (
    Costly("centerpoint-large", "torchscript", "batchnorm-epsilon", large=True),
    Costly("centerpoint-large", "dynamo", "weight-element", large=True),
    Costly("small-resnet", "dynamo", "weight-element", large=False),
)


def show_costs(console: Console, *, write: bool) -> int:
    """Prints a table, and puts it into the document; 1 when a bar is missed."""
    from .tables import markdown, replace_part, where

    headings = [
        "network",
        "nodes",
        "forward + ONNX Runtime",
        "diagnosis",
        "ratio (range)",
        "peak (of float64)",
        "bar",
    ]
    rows, missed = [], False
    for network in NETWORKS:
        console.print(f"{network.subject}/{network.exporter}, {network.fault} ...", highlight=False)
        row, met = _measured(network)
        missed |= not met
        rows.append(row)
    table = Table(*headings)
    for row in rows:
        table.add_row(*row)
    console.print(table)
    found = _own_process("look-up", "stale", "torchscript", "")
    said = (
        f"A stale file of {found['constants']} nameless constants, {found['bytes'] / 1e6:.0f} MB with norms "
        f"folded into the weights: all are looked up in the checkpoint in {found['seconds']:.1f} s."
    )
    console.print(said)
    if write:
        replace_part("cost", f"{where()}\n\n{markdown(headings, rows)}\n\n{said}")
    return int(missed)


def _measured(network: Costly) -> tuple[list[str], bool]:
    """The table's row, and whether the bars are met."""
    with tempfile.TemporaryDirectory() as folder:
        about = [network.subject, network.exporter, folder]
        made = _own_process("prepare", *about, network.fault)
        turns = [_own_process("time", *about) for _ in range(ROUNDS)]
        peak = _own_process("diagnose", *about)["peak"]
        plain = _own_process("forward64", *about)["peak"]
    base = [turn["torch"] + turn["onnxruntime"] for turn in turns]
    seconds = [turn["diagnosis"] for turn in turns]
    ratios = [ours / theirs for ours, theirs in zip(seconds, base, strict=True)]
    ratio, middle = statistics.median(ratios), statistics.median(seconds)
    forward = statistics.median(turn["torch"] for turn in turns)
    if network.large:
        met = forward > 1.0 and ratio <= FORWARDS and peak <= MEMORY * plain
        bar = f"<= {FORWARDS:g} x, <= {MEMORY:g} x"
        bar += "" if forward > 1.0 else f"; a forward takes {forward:.2f} s only: enlarge the canvas"
    else:
        met, bar = middle <= SECONDS, f"<= {SECONDS:g} s"
    row = [
        f"{network.subject}/{network.exporter}",
        f"{made['nodes']}, {made['bytes'] / 1e6:.0f} MB",
        f"{forward:.2f} + {statistics.median(turn['onnxruntime'] for turn in turns):.2f} s",
        f"{middle:.2f} s",
        f"{ratio:.1f} ({min(ratios):.1f} to {max(ratios):.1f})",
        f"{peak / 2**20:.0f} of {plain / 2**20:.0f} MiB: {peak / plain:.2f} x",
        f"{bar}: {'met' if met else 'MISSED'}",
    ]
    return row, met


def _own_process(what: str, *arguments: str) -> dict[str, Any]:
    command = [sys.executable, str(_ENTRY), "--measure", what, *arguments]
    environment = os.environ | {"PYTHONWARNINGS": "ignore"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=900)
    if done.returncode:
        sys.exit(f"measuring {what} of {arguments[0]} failed:\n{done.stderr[-3000:]}")
    report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return report


def measure(what: str, subject: str, exporter: Exporter, folder: str, *rest: str) -> None:
    """One measurement, in the process that was started for it; prints what `_own_process` reads."""
    steps: dict[str, Callable[..., dict[str, Any]]] = {
        "prepare": _prepare,
        "time": _time,
        "diagnose": _diagnose,
        "forward64": _forward64,
        "look-up": lambda *_: measure_look_up(),
    }
    print(json.dumps(steps[what](subject, exporter, Path(folder), *rest)))


def _prepare(subject: str, exporter: Exporter, folder: Path, fault: str) -> dict[str, Any]:
    """Exports, plants the fault, runs both sides, and writes the question to `request.json`."""
    import onnx

    from parity.diagnosis.faults import FAULTS, choose

    from . import subjects
    from .sides import Sides, question

    sides = Sides(subject, exporter, folder)
    sides.export()
    model = onnx.load(sides.path)
    planted = FAULTS[fault]()
    onnx.save(planted.plant(model, choose(planted.sites(model), 0)).model, sides.path)
    call = sides.run("case", subjects.inputs(subject, 1))
    (folder / "request.json").write_bytes(msgspec.json.encode(question(call, *sides.candidate(call))))
    return {"nodes": len(model.graph.node), "bytes": model.ByteSize()}


def _time(subject: str, exporter: Exporter, folder: Path) -> dict[str, Any]:
    """Seconds of one forward of each side, and of the first diagnosis in this process."""
    from . import subjects
    from .sides import Sides

    sides = Sides(subject, exporter, folder)
    inputs = subjects.inputs(subject, 1)
    return {**_forwards(subject, sides.path, inputs), "diagnosis": sides.diagnose(_request(folder)).seconds}


def _forwards(subject: str, path: Path, inputs: dict[str, Any]) -> dict[str, float]:
    """Each side once to warm up, then in turns."""
    import onnxruntime
    import torch

    from . import subjects

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    feeds = {one.name: inputs[one.name].numpy() for one in session.get_inputs()}
    module = subjects.build(subject)
    runs: dict[str, Callable[[], Any]] = {
        "torch": lambda: module(**inputs),
        "onnxruntime": lambda: session.run(None, feeds),
    }
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    with torch.no_grad():
        for _ in range(1 + ROUNDS):
            for name, run in runs.items():
                started = time.perf_counter()
                run()
                seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(each[1:]) for name, each in seconds.items()}


def _diagnose(subject: str, exporter: Exporter, folder: Path) -> dict[str, Any]:
    """Peak resident memory of a process that does nothing but load and diagnose, as the product's worker."""
    from parity.worker.profiling import PeakMemory

    from .sides import Sides

    with PeakMemory() as memory:
        Sides(subject, exporter, folder).diagnose(_request(folder))
    return {"peak": memory.rss_bytes}


def _forward64(subject: str, exporter: Exporter, folder: Path) -> dict[str, Any]:  # noqa: ARG001
    """The same of one that computes the module in float64 once."""
    import torch

    from parity.worker.profiling import PeakMemory

    from . import subjects

    with PeakMemory() as memory, torch.no_grad():
        inputs = {name: each.double() for name, each in subjects.inputs(subject, 1).items()}
        subjects.build(subject).double()(**inputs)
    return {"peak": memory.rss_bytes}


def _request(folder: Path) -> Diagnose:
    return msgspec.json.decode((folder / "request.json").read_bytes(), type=Diagnose)
