"""The look-up at its worst: a stale file of nameless weights, none of which the checkpoint has."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from onnx import ModelProto, helper, numpy_helper

_LAYERS, _CHANNELS = 120, 171


def measure_look_up() -> dict[str, Any]:
    """CPU seconds in which all of its constants are looked up, and its bytes."""
    import torch

    from parity.diagnosis.initializers.lookup import look_up

    state = {name: torch.from_numpy(value) for name, value in _checkpoint(0).items()}
    model = _folded(_checkpoint(1))
    started = time.process_time()
    findings = look_up(model, "", state)
    assert not any(each.parameter for each in findings)
    return {"seconds": time.process_time() - started, "bytes": model.ByteSize(), "constants": len(findings)}


def _checkpoint(seed: int) -> dict[str, Any]:
    """Convolutions, each with its norm."""
    draw = np.random.default_rng(seed)
    state: dict[str, Any] = {}
    for layer in range(_LAYERS):
        weight = draw.standard_normal((_CHANNELS, _CHANNELS, 3, 3), dtype=np.float32) * np.float32(0.03)
        state[f"{layer}.conv.weight"] = weight
        for name, middle in (("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0), ("running_var", 1.5)):
            state[f"{layer}.norm.{name}"] = draw.uniform(middle - 0.9, middle + 0.9, _CHANNELS).astype("f4")
    return state


def _folded(state: dict[str, Any]) -> ModelProto:
    """As the TorchScript exporter writes them: every norm in its convolution, and no name left."""
    nodes, constants, last = [], [], "x"
    for layer in range(_LAYERS):
        gamma, beta, mean, variance = (
            state[f"{layer}.norm.{name}"] for name in ("weight", "bias", "running_mean", "running_var")
        )
        scale = gamma / np.sqrt(variance + np.float32(1e-5))
        weight, bias = f"onnx::Conv_{2 * layer}", f"onnx::Conv_{2 * layer + 1}"
        folded = state[f"{layer}.conv.weight"] * scale[:, None, None, None]
        constants += [
            numpy_helper.from_array(folded, weight),
            numpy_helper.from_array(beta - mean * scale, bias),
        ]
        nodes.append(helper.make_node("Conv", [last, weight, bias], [f"y{layer}"], pads=[1] * 4))
        last = f"y{layer}"
    ends = (helper.make_tensor_value_info(name, 1, ["n", _CHANNELS, "h", "w"]) for name in ("x", last))
    return helper.make_model(helper.make_graph(nodes, "stale", *([each] for each in ends), constants))
