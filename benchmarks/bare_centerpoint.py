"""What one writes by hand: CenterPoint in PyTorch and in ONNX Runtime, and `np.allclose`. See overhead.py.

    python benchmarks/bare_centerpoint.py VOXEL_ENCODER.onnx BACKBONE_HEAD.onnx [TIMED_RUNS]

The same work as the gate's: the same settings on both sides, the same sweeps, each component on the
reference's tensors, and the chain. With TIMED_RUNS, both sides' latency on the first sweep as well.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import torch
from safetensors.torch import load_file

EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "centerpoint"
sys.path.insert(0, str(EXAMPLE))

from data import simulated  # noqa: E402
from model import build_backbone_head, build_voxel_encoder  # noqa: E402
from pipeline import run_small  # noqa: E402

CONFIG, BUILD = EXAMPLE / "configs" / "small.yaml", EXAMPLE / "build" / "small"
HEADS = ("heatmap", "reg", "height", "dim", "rot", "vel")
Stages = dict[str, Callable[..., dict[str, Any]]]


def main(onnx_files: list[str], timed_runs: int) -> None:
    torch.set_grad_enabled(False)
    torch.use_deterministic_algorithms(True, warn_only=True)
    reference, recorded = _torch_stages()
    candidate, sessions = _onnx_stages(onnx_files)
    for number, sweep in enumerate(simulated()):
        inputs = {"points": torch.from_numpy(sweep["points"])}
        recorded.clear()
        expected = run_small(reference, inputs)
        for session, tensor, outputs in zip(sessions, *zip(*recorded, strict=True), strict=True):
            _compare(outputs, session.run(None, {session.get_inputs()[0].name: tensor.numpy()}))
        _compare(expected, list(run_small(candidate, inputs).values()))
        if number == 0 and timed_runs:
            for name, stages in (("torch", reference), ("onnxruntime", candidate)):
                median = _latency(partial(run_small, stages, inputs), timed_runs)
                print(f"{name}: {1e3 * median:.0f} ms")


def _torch_stages() -> tuple[Stages, list[tuple[torch.Tensor, dict[str, torch.Tensor]]]]:
    encoder, network = build_voxel_encoder(CONFIG), build_backbone_head(CONFIG)
    encoder.load_state_dict(torch.load(BUILD / "voxel_encoder.pth", weights_only=True)["state_dict"])
    network.load_state_dict(load_file(BUILD / "backbone_head.safetensors"))
    encoder.eval(), network.eval()
    recorded: list[tuple[torch.Tensor, dict[str, torch.Tensor]]] = []

    def record(tensor: torch.Tensor, outputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        recorded.append((tensor, outputs))
        return outputs

    return {
        "voxel_encoder": lambda input_features: record(
            input_features, {"pillar_features": encoder(input_features)}
        ),
        "backbone_head": lambda spatial_features: record(spatial_features, network(spatial_features)),
    }, recorded


def _onnx_stages(files: list[str]) -> tuple[Stages, list[ort.InferenceSession]]:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    sessions = [ort.InferenceSession(file, options, providers=["CPUExecutionProvider"]) for file in files]

    def stage(session: ort.InferenceSession) -> Callable[..., dict[str, Any]]:
        names = [output.name for output in session.get_outputs()]

        def call(**inputs: torch.Tensor) -> dict[str, Any]:
            values = session.run(None, {name: tensor.numpy() for name, tensor in inputs.items()})
            return {name: torch.from_numpy(value) for name, value in zip(names, values, strict=True)}

        return call

    return dict(zip(("voxel_encoder", "backbone_head"), map(stage, sessions), strict=True)), sessions


def _compare(expected: dict[str, torch.Tensor], found: list[Any]) -> None:
    for (name, reference), candidate in zip(expected.items(), found, strict=True):
        if not np.allclose(np.asarray(candidate), reference.numpy(), rtol=1e-4, atol=1e-3):
            raise SystemExit(f"{name} differs")


def _latency(run: Callable[[], object], runs: int) -> float:
    run()
    seconds = []
    for _ in range(runs):
        started = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


if __name__ == "__main__":
    main(sys.argv[1:3], int(sys.argv[3]) if len(sys.argv) > 3 else 0)
