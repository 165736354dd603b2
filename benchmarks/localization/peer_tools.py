"""One of the other tools on one planted file; run by its path, so that nothing of this project is needed.

    python peer_tools.py TOOL FOLDER

Prints one JSON line: `named`, the tensors of the first node that the tool finds to differ (empty: none), and
 `seconds` beyond imports and the export that the tool needs.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch

ATOL = RTOL = 1e-4
Found = tuple[list[str], float]
# The package has no `__main__`; its script may not be on the path of the Python that was named.
_POLYGRAPHY = (sys.executable, "-c", "import sys; from polygraphy.tools import main; sys.exit(main())")


def main(tool: str, folder: Path) -> None:
    """Prints what the tool finds in `planted.onnx`."""
    about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
    named, seconds = TOOLS[tool](folder, about)
    print(json.dumps({"named": named, "seconds": seconds}))


def onnx_diagnostic(folder: Path, about: dict[str, Any]) -> Found:
    """The first aligned result that is off; the exported program has its decompositions run."""
    from onnx_diagnostic.reference import OnnxruntimeEvaluator
    from onnx_diagnostic.torch_onnx.sbs import run_aligned

    module, inputs = _module(folder, about)
    program = torch.export.export(module, inputs).run_decompositions()
    planted = onnx.load(folder / "planted.onnx")
    started = time.perf_counter()
    named: list[str] = []
    for record in run_aligned(program, planted, OnnxruntimeEvaluator, inputs, use_tensor=True):
        error = getattr(record, "err_abs", None)
        if record.onnx_name and error is not None and not error <= ATOL:
            named = [record.onnx_name]
            break
    return named, time.perf_counter() - started


def torch_verification(folder: Path, about: dict[str, Any]) -> Found:
    """The first value that is off. The file takes the place of the model that was just exported."""
    import onnx_ir
    from torch.onnx.verification import verify_onnx_program

    module, inputs = _module(folder, about)
    program = torch.onnx.export(module, inputs, dynamo=True, opset_version=about["opset"], verbose=False)
    assert program is not None
    program.model = onnx_ir.load(folder / "planted.onnx")
    started = time.perf_counter()
    infos = verify_onnx_program(program, inputs, compare_intermediates=True)
    off = (info.name for info in infos if not info.max_abs_diff <= ATOL)
    return [name for name in (next(off, None),) if name], time.perf_counter() - started


def polygraphy_run(folder: Path, about: dict[str, Any]) -> Found:  # noqa: ARG001
    """The first tensor that is off the sound file's of that name: golden tensors that a user would lack."""
    from polygraphy import comparator
    from polygraphy.backend.onnx import BytesFromOnnx, ModifyOutputs, OnnxFromPath
    from polygraphy.backend.onnxrt import OnnxrtRunner, SessionFromOnnx
    from polygraphy.constants import MARK_ALL
    from polygraphy.logger import G_LOGGER

    G_LOGGER.module_severity = G_LOGGER.CRITICAL
    feeds = dict(np.load(folder / "inputs.npz"))
    started = time.perf_counter()
    runners = [
        OnnxrtRunner(
            SessionFromOnnx(BytesFromOnnx(ModifyOutputs(OnnxFromPath(str(folder / name)), outputs=MARK_ALL)))
        )
        for name in ("sound.onnx", "planted.onnx")
    ]
    # Version 0.53 made a class of the function.
    make = getattr(comparator, "SimpleCompareFunc", None) or comparator.CompareFunc.simple
    compare = make(atol=ATOL, rtol=RTOL)
    results = comparator.Comparator.run(runners, data_loader=[feeds])
    compared = comparator.Comparator.compare_accuracy(results, compare_func=compare)
    ((_, (accuracy,)),) = compared[0].items()  # of one comparison, one pair of runners, one set of inputs
    order = {out: n for n, node in enumerate(_nodes(folder)) for out in node.output}
    off = sorted((name for name, same in accuracy.items() if not same), key=lambda n: order.get(n, math.inf))
    return off[:1], time.perf_counter() - started


def polygraphy_reduce(folder: Path, about: dict[str, Any]) -> Found:  # noqa: ARG001
    """What bisection leaves, by Polygraphy's own recipe for golden tensors; these are the sound file's."""
    golden, inputs, layers = (str(folder / f"{name}.json") for name in ("golden", "inputs", "layers"))
    started = time.perf_counter()
    _save_inputs(folder, inputs)
    _polygraphy(
        folder, "run", "sound.onnx", "--onnxrt", "--onnx-outputs", "mark", "all",
        "--load-inputs", inputs, "--save-outputs", golden,
    )  # fmt: skip
    _polygraphy(folder, "data", "merge", inputs, golden, "-o", layers)
    printed = _polygraphy(
        folder, "debug", "reduce", "planted.onnx", "-o", "reduced.onnx", "--mode=bisect",
        "--load-inputs", layers, "--check", *_POLYGRAPHY, "run", "polygraphy_debug.onnx", "--onnxrt",
        "--load-inputs", layers, "--load-outputs", golden, "--atol", str(ATOL), "--rtol", str(RTOL),
    )  # fmt: skip
    reduced = folder / "reduced.onnx"
    if not reduced.exists():
        raise SystemExit(f"debug reduce has written no model: {' '.join(printed.split())[-300:]}")
    kept = onnx.load(reduced).graph.node
    return [node.output[0] for node in kept], time.perf_counter() - started


def _save_inputs(folder: Path, path: str) -> None:
    from polygraphy.json import save_json

    save_json([dict(np.load(folder / "inputs.npz"))], path)


def _polygraphy(folder: Path, *arguments: str) -> str:
    """Runs one of its commands; what it printed."""
    done = subprocess.run([*_POLYGRAPHY, *arguments], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode and arguments[0] != "debug":  # `debug reduce` may say so with its status
        raise SystemExit(f"polygraphy {arguments[0]}: {(done.stderr or done.stdout).strip()[-500:]}")
    return done.stdout + done.stderr


def _nodes(folder: Path) -> Any:
    return onnx.load(folder / "planted.onnx").graph.node


def _module(folder: Path, about: dict[str, Any]) -> tuple[torch.nn.Module, tuple[torch.Tensor, ...]]:
    """The network as it was exported, and its inputs in order."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from localization import subjects

    stored = np.load(folder / "inputs.npz")
    return subjects.build(about["subject"]), tuple(torch.from_numpy(stored[name]) for name in stored.files)


TOOLS: dict[str, Callable[[Path, dict[str, Any]], Found]] = {
    "onnx-diagnostic": onnx_diagnostic,
    "torch-verification": torch_verification,
    "polygraphy-run": polygraphy_run,
    "polygraphy-reduce": polygraphy_reduce,
}

if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
