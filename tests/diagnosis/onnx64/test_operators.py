"""Operators with many attributes, on drawn settings, against ONNX Runtime in float32."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
import pytest
from support.graphs import Array, feeds, one

from parity.diagnosis.onnx64 import Graph64

Drawn = tuple[list[Array | None], dict[str, Any]]


class Draw:
    """Draws settings and tensors; the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def one_of(self, *options: Any) -> Any:
        return options[self._rng.integers(len(options))]

    def normal(self, *shape: int) -> Array:
        return self._rng.normal(size=shape).astype(np.float32)

    def integers(self, low: int, high: int, *shape: int) -> Array:
        return self._rng.integers(low, high, shape)

    def uniform(self, low: float, high: float, *shape: int) -> Array:
        return self._rng.uniform(low, high, shape).astype(np.float32)


def _spatial(draw: Draw) -> tuple[int, dict[str, Any]]:
    """Strides, dilations and padding over one to three axes."""
    axes = draw.one_of(1, 2, 2, 3)
    settings: dict[str, Any] = {"strides": [draw.one_of(1, 2) for _ in range(axes)]}
    mode = draw.one_of("NOTSET", "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")
    if mode == "NOTSET":
        settings["pads"] = [draw.one_of(0, 1, 2) for _ in range(2 * axes)]
        settings["dilations"] = [draw.one_of(1, 1, 2) for _ in range(axes)]
    else:
        settings["auto_pad"] = mode
    return axes, settings


def conv(draw: Draw) -> Drawn:
    axes, settings = _spatial(draw)
    group = draw.one_of(1, 2, 4)
    kernel = [draw.one_of(1, 2, 3) for _ in range(axes)]
    x = draw.normal(2, 4, *(draw.one_of(7, 8, 9) for _ in range(axes)))
    return [x, draw.normal(8, 4 // group, *kernel), draw.one_of(None, draw.normal(8))], {
        **settings,
        "group": group,
    }


def conv_transpose(draw: Draw) -> Drawn:
    axes, settings = _spatial(draw)
    group = draw.one_of(1, 2)
    # Under SAME, a kernel smaller than its stride would need negative padding, which has no one meaning.
    kernel = [draw.one_of(2, 3) for _ in range(axes)]
    x = draw.normal(2, 4, *(draw.one_of(5, 6) for _ in range(axes)))
    if "pads" in settings and draw.one_of(True, False):
        settings["output_padding"] = [stride - 1 for stride in settings["strides"]]
    elif "pads" in settings and draw.one_of(True, False):
        del settings["pads"]
        settings["output_shape"] = [n * s for n, s in zip(x.shape[2:], settings["strides"], strict=True)]
    weights = draw.normal(4, 8 // group, *kernel)
    return [x, weights, draw.one_of(None, draw.normal(8))], {**settings, "group": group}


def pool(draw: Draw, *, dilated: bool = True) -> Drawn:
    axes, settings = _spatial(draw)
    kernel = [draw.one_of(2, 3) for _ in range(axes)]
    if "pads" in settings:
        settings["pads"] = [draw.one_of(0, k - 1) for k in kernel * 2]
        settings["ceil_mode"] = draw.one_of(0, 1)
        if not dilated:
            del settings["dilations"]
    return [draw.normal(2, 3, *(draw.one_of(7, 8, 9) for _ in range(axes)))], {
        **settings,
        "kernel_shape": kernel,
    }


def average_pool(draw: Draw) -> Drawn:
    inputs, settings = pool(draw)
    return inputs, {**settings, "count_include_pad": draw.one_of(0, 1)}


def lp_pool(draw: Draw) -> Drawn:
    inputs, settings = pool(draw, dilated=False)
    return inputs, {**settings, "p": draw.one_of(1, 2, 3)}


def resize(draw: Draw) -> Drawn:
    modes = ("half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners", "half_pixel_symmetric")
    settings = {
        "mode": draw.one_of("nearest", "linear", "cubic"),
        "coordinate_transformation_mode": draw.one_of(*modes),
    }
    match settings["mode"]:
        case "nearest":
            rounding = draw.one_of("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
            settings |= {"nearest_mode": rounding, "coordinate_transformation_mode": draw.one_of(*modes[:4])}
        case "linear":
            settings |= {"antialias": draw.one_of(0, 1)}
        case "cubic":
            settings |= {"antialias": draw.one_of(0, 1), "exclude_outside": draw.one_of(0, 1)}
            settings |= {"cubic_coeff_a": draw.one_of(-0.5, -0.75)}
    x = draw.normal(1, 2, draw.one_of(3, 5, 8), draw.one_of(4, 7))
    if draw.one_of(True, False):
        scales = np.float32([1, 1, draw.one_of(0.5, 1.5, 2, 0.7), draw.one_of(1, 2, 0.6, 3.4)])
        return [x, None, scales], settings
    settings |= {
        "axes": [2, 3],
        "keep_aspect_ratio_policy": draw.one_of("stretch", "not_larger", "not_smaller"),
    }
    return [x, None, None, np.array([draw.one_of(2, 7, 9), draw.one_of(3, 8)])], settings


def _recurrent(draw: Draw, gates: int, activations: list[str], parameters: int) -> Drawn:
    steps, batch, width, hidden = draw.one_of(1, 4), draw.one_of(1, 3), 3, 5
    direction = draw.one_of("forward", "reverse", "bidirectional")
    ways = 2 if direction == "bidirectional" else 1
    inputs = [
        draw.normal(steps, batch, width),
        draw.normal(ways, gates * hidden, width),
        draw.normal(ways, gates * hidden, hidden),
        draw.one_of(None, draw.normal(ways, 2 * gates * hidden)),
        draw.one_of(None, draw.integers(1, steps + 1, batch).astype(np.int32)),
        draw.one_of(None, draw.normal(ways, batch, hidden)),
    ]
    settings: dict[str, Any] = {"hidden_size": hidden, "direction": direction}
    if draw.one_of(False, False, True):
        settings["clip"] = 0.5
    if draw.one_of(False, False, True):
        settings["activations"] = activations * ways
        settings["activation_alpha"] = [0.3, 0.1][:parameters] * ways
        settings["activation_beta"] = [0.4] * ways
    return inputs, settings


def lstm(draw: Draw) -> Drawn:
    inputs, settings = _recurrent(draw, 4, ["HardSigmoid", "Softsign", "Relu"], 1)
    ways, _, _ = inputs[1].shape if inputs[1] is not None else (1, 0, 0)
    batch = inputs[0].shape[1] if inputs[0] is not None else 0
    inputs += [draw.one_of(None, draw.normal(ways, batch, 5)), draw.one_of(None, draw.normal(ways, 15))]
    return inputs, {**settings, "input_forget": draw.one_of(0, 0, 1)}


def gru(draw: Draw) -> Drawn:
    inputs, settings = _recurrent(draw, 3, ["HardSigmoid", "LeakyRelu"], 2)
    return inputs, {**settings, "linear_before_reset": draw.one_of(0, 1)}


def rnn(draw: Draw) -> Drawn:
    return _recurrent(draw, 1, ["Affine"], 1)


def grid_sample(draw: Draw) -> Drawn:
    settings = {
        "mode": draw.one_of("linear", "nearest", "cubic"),
        "padding_mode": draw.one_of("zeros", "border", "reflection"),
        "align_corners": draw.one_of(0, 1),
    }
    return [draw.normal(2, 3, 4, 5), draw.uniform(-1.3, 1.3, 2, 3, 2, 2)], settings


def pad(draw: Draw) -> Drawn:
    mode = draw.one_of("constant", "edge", "reflect", "wrap")
    fill = np.array(draw.one_of(0, 1.5), np.float32) if mode == "constant" else None
    widths = np.array([draw.one_of(0, 1, 2, -1) for _ in range(4)])
    return [draw.normal(2, 3, 4, 5), widths, fill, np.array([-1, 2])], {"mode": mode}


def slice_(draw: Draw) -> Drawn:
    bounds = (-20, -3, -1, 0, 2, 20)
    steps = np.array([draw.one_of(1, 2, -1, -2), draw.one_of(1, 3, -3)])
    starts = np.array([draw.one_of(*bounds), draw.one_of(*bounds)])
    # The far end of what int64 can hold is the way to say "all the rest".
    ends = np.array([draw.one_of(*bounds, 2**63 - 1 if step > 0 else -(2**63)) for step in steps])
    return [draw.normal(5, 4, 6), starts, ends, np.array([0, -1]), steps], {}


def scatter_elements(draw: Draw) -> Drawn:
    indices, updates = draw.integers(-3, 3, 2, 2, 4), draw.normal(2, 2, 4)
    return [draw.normal(2, 3, 4), indices, updates], {
        "axis": 1,
        "reduction": draw.one_of("add", "max", "min", "mul"),
    }


def scatter_nd(draw: Draw) -> Drawn:
    indices, updates = draw.integers(-2, 2, 3, 1), draw.normal(3, 3, 4)
    return [draw.normal(2, 3, 4), indices, updates], {"reduction": draw.one_of("add", "max", "min", "mul")}


def gather_elements(draw: Draw) -> Drawn:
    """More than 64 elements, and fewer indices than data: where onnx.reference fails."""
    return [draw.normal(3, 100, 2), draw.integers(-100, 100, 2, 70, 1)], {"axis": 1}


def gather_nd(draw: Draw) -> Drawn:
    return [draw.normal(2, 3, 4), draw.integers(-3, 3, 2, 5, 1)], {"batch_dims": 1}


def top_k(draw: Draw) -> Drawn:
    settings = {"axis": draw.one_of(0, 1, -1), "largest": draw.one_of(0, 1)}
    return [np.round(draw.normal(3, 4, 5)), np.array([2])], settings


def cum_sum(draw: Draw) -> Drawn:
    settings = {"exclusive": draw.one_of(0, 1), "reverse": draw.one_of(0, 1)}
    return [draw.normal(2, 3, 4), np.array(draw.one_of(0, -1))], settings


def reverse_sequence(draw: Draw) -> Drawn:
    time = draw.one_of(0, 1)
    return [draw.normal(4, 4, 2), draw.integers(1, 5, 4)], {"time_axis": time, "batch_axis": 1 - time}


def roi_align(draw: Draw) -> Drawn:
    settings = {
        "output_height": 2,
        "output_width": 3,
        "sampling_ratio": draw.one_of(0, 2),
        "mode": draw.one_of("avg", "max"),
    }
    return [draw.normal(2, 3, 5, 5), np.float32([[0, 0, 3, 3], [1, 1, 4, 2]]), np.array([0, 1])], settings


def mod(draw: Draw) -> Drawn:
    return [draw.integers(-9, 9, 20), draw.integers(1, 5, 20) * draw.one_of(1, -1)], {
        "fmod": draw.one_of(0, 1)
    }


def reduce(draw: Draw) -> Drawn:
    axes = draw.one_of(None, np.array([1]), np.array([0, -1]), np.array([], np.int64))
    return [draw.normal(2, 3, 4), axes], {
        "keepdims": draw.one_of(0, 1),
        "noop_with_empty_axes": draw.one_of(0, 1),
    }


def depth_to_space(draw: Draw) -> Drawn:
    return [draw.normal(1, 8, 2, 3)], {"blocksize": 2, "mode": draw.one_of("DCR", "CRD")}


DRAWN: dict[str, tuple[str, Callable[[Draw], Drawn], int]] = {
    "AveragePool": ("AveragePool", average_pool, 1),
    "Conv": ("Conv", conv, 1),
    "ConvTranspose": ("ConvTranspose", conv_transpose, 1),
    "CumSum": ("CumSum", cum_sum, 1),
    "DepthToSpace": ("DepthToSpace", depth_to_space, 1),
    "GRU": ("GRU", gru, 2),
    "GatherElements": ("GatherElements", gather_elements, 1),
    "GatherND": ("GatherND", gather_nd, 1),
    "GridSample": ("GridSample", grid_sample, 1),
    "LSTM": ("LSTM", lstm, 3),
    "LpPool": ("LpPool", lp_pool, 1),
    "MaxPool": ("MaxPool", pool, 2),
    "Mod": ("Mod", mod, 1),
    "Pad": ("Pad", pad, 1),
    "RNN": ("RNN", rnn, 2),
    "ReduceL2": ("ReduceL2", reduce, 1),
    "ReduceLogSumExp": ("ReduceLogSumExp", reduce, 1),
    "ReduceMax": ("ReduceMax", reduce, 1),
    "ReduceMean": ("ReduceMean", reduce, 1),
    "Resize": ("Resize", resize, 1),
    "ReverseSequence": ("ReverseSequence", reverse_sequence, 1),
    "RoiAlign": ("RoiAlign", roi_align, 1),
    "ScatterElements": ("ScatterElements", scatter_elements, 1),
    "ScatterND": ("ScatterND", scatter_nd, 1),
    "Slice": ("Slice", slice_, 1),
    "TopK": ("TopK", top_k, 2),
}
DRAWS = 25


@pytest.mark.parametrize("name", DRAWN)
def test_agrees_with_onnx_runtime(name: str) -> None:
    op, draw, outputs = DRAWN[name]
    compared = 0
    for seed in range(DRAWS):
        inputs, settings = draw(Draw(seed))
        model = one(op, inputs, outputs, **settings)
        expected = _runtime(model, feeds(inputs))
        if expected is None:
            continue  # ONNX Runtime has no kernel for this setting
        evaluation = Graph64(model).run(feeds(inputs))
        assert evaluation.unknown == {}, (seed, settings)
        for output, array in zip(evaluation.outputs.values(), expected, strict=True):
            np.testing.assert_allclose(
                output, array, rtol=2e-4, atol=1e-5, err_msg=f"seed {seed}: {settings}"
            )
        compared += 1
    assert compared > DRAWS / 2


def _runtime(model: Any, inputs: dict[str, Array]) -> list[Array] | None:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
        outputs: list[Array] = session.run(None, inputs)
    except Exception as error:  # its own exceptions have no common class
        if "ONNXRuntimeError" not in str(error):
            raise
        return None
    return outputs
