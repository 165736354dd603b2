"""Resize, exactly: interpolation is separable, so each axis is a sparse matrix of a few taps a row."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from parity.artifacts import Array
from parity.diagnosis.onnx64.operators.elementwise import Operator
from parity.diagnosis.onnx64.program import Node
from parity.diagnosis.onnx64.values import Tensor, as_floats, as_ints


@dataclass(frozen=True, slots=True)
class _Axis:
    """One axis to resize.

    Args:
        size, count: elements of the input and the output.
        scale: output size by input size, as given.
        exact: whether `scale` is `count / size`.
        start, end: the region of interest, as shares of the input.
    """

    index: int
    size: int
    count: int
    scale: float
    exact: bool
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class _Rules:
    """How elements are found and weighted; the attributes of the same names."""

    mode: str
    coordinates: str
    rounding: str
    antialias: bool
    exclude_outside: bool
    cubic: float
    extrapolation: float
    policy: str

    @staticmethod
    def of(node: Node) -> _Rules:
        """As the node says; before operator set 11, and in Upsample, there was one way only."""
        old = node.op == "Upsample" or node.version < 11
        mode = node.text("mode", "nearest")
        return _Rules(
            mode="linear" if mode == "bilinear" else mode,
            coordinates=node.text("coordinate_transformation_mode", "asymmetric" if old else "half_pixel"),
            rounding=node.text("nearest_mode", "floor" if old else "round_prefer_floor"),
            antialias=bool(node.integer("antialias")),
            exclude_outside=bool(node.integer("exclude_outside")),
            cubic=node.number("cubic_coeff_a", -0.75),
            extrapolation=node.number("extrapolation_value"),
            policy=node.text("keep_aspect_ratio_policy", "stretch"),
        )

    @property
    def crops(self) -> bool:
        """Whether the region of interest counts."""
        return self.coordinates == "tf_crop_and_resize"


def _coordinates(rules: _Rules, axis: _Axis) -> Array:
    """Where each output element lies in the input, in elements.

    `length_resized` of the specification is the size of the output, not input size times scale, which may be
    a fraction: so do PyTorch and ONNX Runtime read it. For nearest neighbours the arithmetic with a given
    scale is in float32, as theirs is, because rounding decides which element is taken.
    """
    rounded = rules.mode == "nearest" and not axis.exact
    at: Array = np.arange(axis.count, dtype=np.float32 if rounded else np.float64)
    last, steps = axis.size - 1.0, axis.count - 1.0
    over, under = (axis.size, axis.count) if axis.exact else (1.0, axis.scale)
    scaled: Array = at * over / under
    shifted: Array = (at + 0.5) * over / under
    centered = shifted - 0.5
    match rules.coordinates:
        case "half_pixel":
            found = centered
        case "pytorch_half_pixel":
            found = centered if axis.count > 1 else 0 * at
        case "half_pixel_symmetric":
            found = axis.size / 2 * (1 - axis.count / (axis.scale * axis.size)) + centered
        case "asymmetric":
            found = scaled
        case "align_corners":
            found = at * last / max(steps, 1.0)
        case "tf_half_pixel_for_nn":
            found = shifted
        case "tf_crop_and_resize":
            middle = 0.5 * (axis.start + axis.end) * last
            along = axis.start * last + at * (axis.end - axis.start) * last / max(steps, 1.0)
            found = along if axis.count > 1 else 0 * at + middle
        case other:
            raise ValueError(f"coordinate_transformation_mode is {other!r}")
    return found


_ROUNDINGS: dict[str, Callable[[Array], Array]] = {
    "round_prefer_floor": lambda at: np.ceil(at - 0.5),
    "round_prefer_ceil": lambda at: np.floor(at + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}


def _kernel(mode: str, distance: Array, a: float) -> Array:
    """Weight of an input element at a distance, in elements; Keys' cubic convolution with parameter `a`."""
    x: Array = np.abs(distance)
    if mode == "linear":
        triangle: Array = np.maximum(1 - x, 0.0)
        return triangle
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    weights: Array = np.where(x <= 1, near, np.where(x < 2, far, 0.0))
    return weights


def _taps(rules: _Rules, axis: _Axis) -> tuple[Array, Array]:
    """Indices (count, taps) into the input, and their weights."""
    at = _coordinates(rules, axis)
    if rules.mode == "nearest":
        index = _ROUNDINGS[rules.rounding](at)[:, None]
        weights = np.ones_like(index)
    elif rules.mode in ("linear", "cubic"):
        # An antialiased kernel is as wide as the step between output elements.
        shrink = min(axis.scale, 1.0) if rules.antialias else 1.0
        reach = math.ceil((1 if rules.mode == "linear" else 2) / shrink)
        index = np.floor(at)[:, None] + np.arange(1 - reach, reach + 1)
        weights = _kernel(rules.mode, (index - at[:, None]) * shrink, rules.cubic)
        if rules.exclude_outside:
            weights = np.where((index >= 0) & (index < axis.size), weights, 0.0)
        weights = weights / weights.sum(1, keepdims=True)
    else:
        raise ValueError(f"the mode is {rules.mode!r}")
    return np.clip(index, 0, axis.size - 1).astype(np.int64), weights


def _resized_axis(rules: _Rules, x: Tensor, axis: _Axis) -> Tensor:
    indices, weights = _taps(rules, axis)
    shape = [1] * x.ndim
    shape[axis.index] = axis.count
    total: Tensor | None = None
    for index, weight in zip(indices.T, weights.T, strict=True):
        part = x.index_select(axis.index, torch.from_numpy(index.copy()).to(x.device))
        if rules.mode != "nearest":
            part = part.mul_(torch.from_numpy(weight.copy()).to(x.device).reshape(shape))
        total = part if total is None else total.add_(part)
    assert total is not None
    return total


def _resized(
    node: Node, x: Tensor, roi: list[float], given: list[float] | None, wanted: list[int] | None
) -> Tensor:
    rules = _Rules.of(node)
    indices = [axis % x.ndim for axis in node.integers("axes") or range(x.ndim)]
    lengths = [x.shape[index] for index in indices]
    if given is not None:
        # In float32, as runtimes do it: 10 * 0.7 has 7 elements, not 6.
        sizes = [int(np.floor(np.float32(n) * np.float32(s))) for n, s in zip(lengths, given, strict=True)]
        scales = given
    elif wanted is not None:
        scales, sizes = _scales(rules.policy, lengths, wanted)
    else:
        raise ValueError("neither scales nor sizes are given")
    exact = given is None and rules.policy == "stretch"
    y = x.double()
    for k, index in enumerate(indices):
        start, end = (roi[k], roi[len(indices) + k]) if rules.crops else (0.0, 1.0)
        axis = _Axis(index, lengths[k], sizes[k], scales[k], exact, start, end)
        if rules.crops or scales[k] != 1 or sizes[k] != lengths[k]:
            y = _resized_axis(rules, y, axis)
        if rules.crops:
            y = _extrapolated(rules, y, axis)
    return y if x.is_floating_point() else _saturated(y, x.dtype)


def _extrapolated(rules: _Rules, y: Tensor, axis: _Axis) -> Tensor:
    at = _coordinates(rules, axis)
    shape = [1] * y.ndim
    shape[axis.index] = axis.count
    outside = torch.from_numpy((at < 0) | (at > axis.size - 1)).to(y.device).reshape(shape)
    return torch.where(outside, rules.extrapolation, y)


def _scales(policy: str, lengths: list[int], sizes: list[int]) -> tuple[list[float], list[int]]:
    ratios = [size / length for size, length in zip(sizes, lengths, strict=True)]
    if policy == "stretch":
        return ratios, sizes
    ratio = min(ratios) if policy == "not_larger" else max(ratios)
    return [ratio] * len(sizes), [math.floor(ratio * length + 0.5) for length in lengths]


def _saturated(y: Tensor, dtype: torch.dtype) -> Tensor:
    limits = torch.iinfo(dtype)
    return y.clamp(limits.min, limits.max).to(dtype)


def _resize(
    node: Node,
    x: Tensor,
    roi: Tensor | None = None,
    scales: Tensor | None = None,
    sizes: Tensor | None = None,
) -> Tensor:
    if node.version < 11:  # the second input was the scales
        roi, scales = None, roi
    return _resized(
        node,
        x,
        [] if roi is None else as_floats(roi),
        as_floats(scales) if scales is not None and scales.numel() else None,
        as_ints(sizes) if sizes is not None and sizes.numel() else None,
    )


def _upsample(node: Node, x: Tensor, scales: Tensor | None = None) -> Tensor:
    return _resized(
        node, x, [], list(node.attributes["scales"]) if scales is None else as_floats(scales), None
    )


OPERATORS: dict[str, Operator] = {
    "Resize": _resize,
    "Upsample": _upsample,
}
