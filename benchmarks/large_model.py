"""Memory of the gate on an ONNX model of more than 2 GB, whose weights lie in a file of their own.

    python benchmarks/large_model.py [--layers 9] [--size 8192]

The model is a chain of square matrix products, 2.25 GiB as it comes, made on the spot. It is gated, and
meanwhile the resident memory of both workers is looked at 100 times a second, from their start on.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import onnx
import psutil
import yaml
from onnx import TensorProto, helper
from rich.console import Console
from rich.table import Table

DATA = "model.onnx.data"
MODEL = """\
import numpy as np
import torch

class Chain(torch.nn.Module):
    def __init__(self, size, layers):
        super().__init__()
        shape = (layers, size, size)
        weights = torch.from_numpy(np.fromfile("{data}", np.float32).reshape(shape))
        self.weights = torch.nn.ParameterList(torch.nn.Parameter(w, requires_grad=False) for w in weights)

    def forward(self, x):
        for weight in self.weights:
            x = x @ weight
        return x

build = Chain
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--layers", type=int, default=9)
    parser.add_argument("--size", type=int, default=8192)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_model(folder, options.size, options.layers)
        write_specification(folder, options.size, options.layers)
        peaks, seconds = gate(folder)
        weights = (folder / DATA).stat().st_size
    table = Table("worker", "peak of resident memory", "of the model's size")
    for side, peak in peaks.items():
        table.add_row(side, f"{peak / 2**30:.2f} GiB", f"{peak / weights:.2f} x")
    Console().print(f"weights {weights / 2**30:.2f} GiB, gated in {seconds:.0f} s", table)


def write_model(folder: Path, size: int, layers: int) -> None:
    """``y = x @ w0 @ w1 ...``, with x (2, size); written row by row, so that nobody ever holds it."""
    nodes, tensors = [], []
    rows = min(size, 512)
    with (folder / DATA).open("wb") as file:
        for layer in range(layers):
            generator = np.random.default_rng(layer)
            tensors.append(external(f"w{layer}", (size, size), file.tell()))
            for _ in range(size // rows):
                block = generator.standard_normal((rows, size), dtype=np.float32)
                file.write((block / np.float32(size**0.5)).tobytes())
            ends = (f"h{layer}" if layer else "x", f"h{layer + 1}" if layer < layers - 1 else "y")
            nodes.append(
                helper.make_node("MatMul", [ends[0], f"w{layer}"], [ends[1]], name=f"product{layer}")
            )
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, size]) for name in "xy")
    graph = helper.make_graph(nodes, "chain", [x], [y], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, folder / "model.onnx")


def external(name: str, shape: tuple[int, int], offset: int) -> onnx.TensorProto:
    """A float32 tensor whose values start at `offset` in the data file."""
    tensor = TensorProto(
        name=name, data_type=TensorProto.FLOAT, dims=shape, data_location=TensorProto.EXTERNAL
    )
    length = 4 * shape[0] * shape[1]
    for key, value in (("location", DATA), ("offset", str(offset)), ("length", str(length))):
        tensor.external_data.add(key=key, value=value)
    return tensor


def write_specification(folder: Path, size: int, layers: int) -> None:
    (folder / "model.py").write_text(MODEL.format(data=folder / DATA))
    spec = {
        "version": 1,
        "name": "large",
        "model": {"target": "model.py:build", "args": {"size": size, "layers": layers}},
        "onnx": "model.onnx",
        "inputs": {"tensors": {"x": {"shape": [2, size]}}},
        "tolerances": {"*": {"atol": 1e-4, "rtol": 1e-4}},
        "performance": {"runs": 0},
    }
    (folder / "parity.yml").write_text(yaml.safe_dump(spec))


def gate(folder: Path) -> tuple[dict[str, int], float]:
    """Peaks of resident memory in bytes by side, and the seconds that the gate took; it has to pass."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "parity", "run", "parity.yml"]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
    peaks = {"reference": 0, "candidate": 0}
    watching = threading.Thread(target=_watch, args=(process.pid, peaks), daemon=True)
    watching.start()
    status = process.wait(timeout=1200)
    seconds = time.perf_counter() - start
    results = json.loads((folder / "parity-report" / "results.json").read_text())
    assert status == 0, [case["problem"] for case in results["cases"]]
    return peaks, seconds


def _watch(pid: int, peaks: dict[str, int]) -> None:
    with suppress(psutil.NoSuchProcess):
        while True:
            for worker in psutil.Process(pid).children():
                with suppress(psutil.Error):
                    for side in peaks.keys() & set(worker.cmdline()):
                        peaks[side] = max(peaks[side], worker.memory_info().rss)
            time.sleep(0.01)


if __name__ == "__main__":
    main()
