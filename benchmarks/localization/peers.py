"""Other tools on a sample of the same files: who names the node, and in how long.

Each tool runs by `peer_tools.py` in a process of its own, with another Python if need be (`--peer-python`).
A tool that is not installed, fails or takes too long is a row that says so.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from rich.console import Console
from rich.table import Table

from parity.diagnosis.faults import FAULTS, choose
from parity.diagnosis.faults.graph import label

from . import subjects
from .cases import EXPORTERS
from .sides import Sides
from .trials import told

TOOLS = {
    "onnx-diagnostic": "onnx-diagnostic run_aligned, decomposed",
    "torch-verification": "torch.onnx.verification, intermediates",
    "polygraphy-run": "Polygraphy run, all tensors marked",
    "polygraphy-reduce": "Polygraphy debug reduce",
}
SAMPLE = ("small-resnet", "vit", "unet")
SAMPLED_FAULTS = ("weight-element", "bias-dropped", "activation-replaced", "float16-round-trip")
LIMIT_S = 180.0
FEW = 5  # nodes that an answer may name and still be one
_SCRIPT = Path(__file__).with_name("peer_tools.py")


def show_peers(console: Console, python: Path, architectures: list[str], *, write: bool) -> None:
    """Prints a table, and puts it into the document.

    Args:
        console: prints.
        python: has the tools installed.
        architectures: those of the sample are taken, and the peers' own small ResNet in any case.
        write: whether the document is brought up to date.
    """
    from .tables import markdown, replace_part, where

    chosen = [name for name in SAMPLE if name in architectures or name == "small-resnet"]
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        for exporter, folder in _files(chosen, Path(temporary)):
            about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
            for tool in TOOLS:
                result = _run(python, tool, folder)
                verdict = _judged(result, about)
                found.setdefault((tool, exporter), []).append({**result, "verdict": verdict})
                told_by = result.get("problem") or f"{result.get('named')} in {result['seconds']:.1f} s"
                console.print(f"{folder.name}  {tool}: {verdict}: {told_by}", markup=False, highlight=False)
    headings = ["tool", "exporter", "files", "exact", "near", "said nothing", "not run", "seconds (median)"]
    rows = [[TOOLS[tool], exporter, *_cells(results)] for (tool, exporter), results in sorted(found.items())]
    table = Table(*headings)
    for row in rows:
        table.add_row(*row)
    console.print(table)
    if write:
        replace_part("peers", f"{where()}\n\n{markdown(headings, rows)}")


def _files(names: list[str], temporary: Path) -> Iterator[tuple[str, Path]]:
    """A folder for each planted file: `sound.onnx`, `planted.onnx`, `inputs.npz` and `about.json`."""
    for name in names:
        for exporter in EXPORTERS:
            sides = Sides(name, exporter, temporary / f"{name}-{exporter}")
            sides.export()
            sound = onnx.load(sides.path)
            for fault in SAMPLED_FAULTS:
                folder = temporary / f"{name}-{exporter}-{fault}"
                sites = FAULTS[fault]().sites(sound)
                if not sites:
                    continue
                planted = FAULTS[fault]().plant(sound, choose(sites, zlib.crc32(folder.name.encode())))
                folder.mkdir()
                onnx.save(sound, folder / "sound.onnx")
                onnx.save(planted.model, folder / "planted.onnx")
                inputs = {key: each.numpy() for key, each in subjects.inputs(name, 1).items()}
                np.savez(folder / "inputs.npz", allow_pickle=False, **inputs)
                planting = told(planted)
                producers = {out: label(node) for node in planted.model.graph.node for out in node.output}
                about = {
                    "subject": name,
                    "opset": subjects.opset(name),
                    "accepted": planting.accepted,
                    "near": planting.near,
                    "producers": producers,
                }
                (folder / "about.json").write_text(json.dumps(about), encoding="utf-8")
                yield exporter, folder


def _run(python: Path, tool: str, folder: Path) -> dict[str, Any]:
    """What a tool named: `named` (tensors), `seconds`; or `problem`."""
    environment = os.environ | {"PYTHONWARNINGS": "ignore"}
    command = [str(python), str(_SCRIPT), tool, str(folder)]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    )
    try:
        output, errors = process.communicate(timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)  # and what the tool has started in its turn
        process.communicate()
        return {"problem": f"no answer within {LIMIT_S:g} s"}
    if process.returncode:
        lines = errors.strip().splitlines() or [f"ended with {process.returncode}"]
        print(f"{tool} on {folder.name} does not run: {lines[-1]}", file=sys.stderr)
        return {"problem": lines[-1][:300]}
    result: dict[str, Any] = json.loads(output.splitlines()[-1])
    return result


def _judged(result: dict[str, Any], about: dict[str, Any]) -> str:
    """By the nodes that make the named tensors; a few named are near when the right one is among them."""
    if "problem" in result:
        return "not run"
    nodes = {about["producers"].get(name, name) for name in result["named"]}
    if not nodes:
        return "said nothing"
    if len(nodes) == 1 and nodes <= set(about["accepted"]):
        return "exact"
    return "near" if len(nodes) <= FEW and nodes & set(about["near"]) else "wrong"


def _cells(results: list[dict[str, Any]]) -> list[str]:
    said = [result["verdict"] for result in results]
    seconds = sorted(result["seconds"] for result in results if "seconds" in result)
    counts = [str(said.count(each)) for each in ("exact", "near", "said nothing", "not run")]
    return [str(len(results)), *counts, f"{seconds[len(seconds) // 2]:.1f}" if seconds else ""]
