"""Batch norms that an exporter folded into the layer before them.

    W' = W * gamma / sqrt(var + eps)        b' = (b - mean) * gamma / sqrt(var + eps) + beta

The file has W' and b', the checkpoint the rest but eps, which is an argument of the module: it is solved for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from onnx import NodeProto

from parity.artifacts import Array

from .candidates import Candidate
from .layouts import layouts

Floats = npt.NDArray[np.float64]

COMMON_EPS = (1e-5, 1e-3, 1e-6, 1e-4, 1e-2, 1e-8, 1e-12, 0.0)
"""What modules have for eps, the most usual first."""

_ROWS, _COLUMNS = 16, 512  # of a weight, where one that fits is looked for


@dataclass(frozen=True)
class Norm:
    """A batch norm of the checkpoint, in float64; `place` is where it stands in the checkpoint."""

    name: str
    gamma: Floats
    beta: Floats
    mean: Floats
    variance: Floats
    place: int

    def scale(self, eps: float) -> Floats:
        """What it multiplies each channel by."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(self.gamma / np.sqrt(self.variance + eps))


@dataclass(frozen=True)
class Folded:
    """A weight with a batch norm in it: the layer's own, and what the file should hold.

    Args:
        expected: in the layout of the file, float64.
        exact: how many of the channels have the scale that this norm gives them, 0 to 1.
        steady: how many have it but for one factor that all share.
    """

    weight: Candidate
    norm: Norm
    eps: float
    expected: Floats
    exact: float
    steady: float

    def with_eps(self, eps: float, axis: int) -> Folded:
        """The same for another eps."""
        with np.errstate(divide="ignore", invalid="ignore"):
            factor = self.norm.scale(eps) / self.norm.scale(self.eps)
        shape = [1] * self.expected.ndim
        shape[axis] = -1
        factor = np.where(np.isfinite(factor), factor, 1.0).reshape(shape)
        return replace(self, eps=eps, expected=self.expected * factor)

    def bias(self, state: Mapping[str, Candidate]) -> Floats:
        """What the layer's bias should be in the file."""
        own = state.get(f"{self.weight.module}.bias") if self.weight.module else state.get("bias")
        bias = own.value.astype(np.float64) if own is not None else np.zeros_like(self.norm.mean)
        return np.asarray((bias - self.norm.mean) * self.norm.scale(self.eps) + self.norm.beta)


def norms(state: Mapping[str, Candidate]) -> tuple[Norm, ...]:
    """Every batch norm with running statistics."""
    found = []
    for place, name in enumerate(state):
        stem, _, last = name.rpartition("running_var")
        if last or not name.endswith("running_var") or f"{stem}running_mean" not in state:
            continue
        variance = state[name].value.astype(np.float64)
        one, zero = np.ones_like(variance), np.zeros_like(variance)
        gamma, beta, mean = (
            state[key].value.astype(np.float64) if (key := f"{stem}{part}") in state else default
            for part, default in (("weight", one), ("bias", zero), ("running_mean", zero))
        )
        found.append(Norm(stem.rstrip("."), gamma, beta, mean, variance, place))
    return tuple(found)


def output_axis(node: NodeProto) -> int:
    """The axis of a layer's weight along which its outputs lie."""
    if node.op_type == "Gemm":
        transposed = any(each.name == "transB" and each.i for each in node.attribute)
        return 0 if transposed else 1
    return {"Conv": 0, "ConvTranspose": 1}.get(node.op_type, -1)


def find_folded(
    found: Array,
    node: NodeProto,
    weights: Sequence[Candidate],
    batch_norms: Sequence[Norm],
    places: Mapping[str, int],
) -> Folded | None:
    """The weight and the batch norm that a layer's weight in the file is made of, as well as can be told.

    Args:
        found: the file's.
        node: the layer.
        weights: those that it may be, of the same size.
        batch_norms: all of the checkpoint.
        places: where each parameter stands in the checkpoint: a norm follows its layer.
    """
    axis = output_axis(node)
    oriented = list(_oriented(found, weights, axis))
    if not oriented:
        return None
    likeness = _likeness(_some_rows(found, axis), np.stack([some for _, _, some in oriented]))
    nearest = int(np.argmax(likeness))
    if not likeness[nearest] > 0.5:
        return None
    weight, value, _ = oriented[nearest]
    rows, own = _rows(found, axis), _rows(value, axis)
    with np.errstate(divide="ignore", invalid="ignore"):
        scales = (rows * own).sum(1) / np.square(own).sum(1)
    chosen = _choose(scales, batch_norms, places.get(weight.name, -1))
    if chosen is None:
        return None
    norm, eps, exact, steady = chosen
    shape = [1] * found.ndim
    shape[axis] = -1
    expected = value.astype(np.float64) * norm.scale(eps).reshape(shape)
    return Folded(weight, norm, eps, expected, exact, steady)


def _oriented(
    found: Array, weights: Sequence[Candidate], axis: int
) -> Iterator[tuple[Candidate, Array, Floats]]:
    """Each weight in every layout that the file's may have, with some of its rows."""
    for weight in weights:
        if weight.value.ndim < 2:
            continue
        key = (*found.shape, axis)
        values = [value for kind, value in layouts(weight.value, found.shape) if kind != "reshaped"]
        if key not in weight.some_rows:
            weight.some_rows[key] = [_some_rows(value, axis) for value in values]
        yield from ((weight, *each) for each in zip(values, weight.some_rows[key], strict=True))


def _some_rows(value: Array, axis: int) -> Floats:
    """Some output channels, and of these so many elements that they tell one weight from another."""
    channels = np.moveaxis(value, axis, 0)
    some = channels[:: max(1, len(channels) // _ROWS)]
    return _finite(some.reshape(len(some), -1)[:, :_COLUMNS])


def _rows(value: Array, axis: int) -> Floats:
    """By output channel; what is not finite counts as zero."""
    return _finite(np.moveaxis(value, axis, 0).reshape(value.shape[axis], -1))


def _finite(rows: Array) -> Floats:
    return np.nan_to_num(rows.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)


def _likeness(found: Floats, others: Floats) -> Floats:
    """Of each other weight: the median absolute cosine between channels; 1 when all are multiples."""
    with np.errstate(divide="ignore", invalid="ignore"):
        products = np.abs(np.einsum("ij,kij->ki", found, others))
        cosine = products / np.sqrt(np.square(found).sum(1) * np.einsum("kij,kij->ki", others, others))
    result = np.asarray(np.median(cosine, axis=1))
    for place in np.flatnonzero(~np.isfinite(result)):  # a channel of zeros has no direction
        finite = cosine[place][np.isfinite(cosine[place])]
        result[place] = np.median(finite) if finite.size else 0.0
    return result


def _choose(
    scales: Floats, batch_norms: Sequence[Norm], place: int
) -> tuple[Norm, float, float, float] | None:
    """The norm and the eps that give these scales to most channels; next, those that nearly do."""
    fitting = [norm for norm in batch_norms if len(norm.variance) == len(scales)]
    nearest: tuple[float, Norm, float, float, float] | None = None
    # A norm stands behind its layer: in case of doubt the next one is right.
    for norm in sorted(fitting, key=lambda norm: (norm.place < place, abs(norm.place - place))):
        for eps in (*COMMON_EPS, *_solved(scales, norm)):
            with np.errstate(divide="ignore", invalid="ignore"):
                ratio = scales / norm.scale(eps)
            ratio = ratio[np.isfinite(ratio)]
            if not ratio.size:
                continue
            exact = float(np.mean(np.abs(ratio - 1) <= 3e-6))
            if eps not in COMMON_EPS and exact < 0.5:
                continue
            middle = float(np.median(ratio))
            spread = float(np.median(np.abs(ratio - middle))) + 0.01 * abs(middle - 1)
            distance = spread - exact
            # Without an exact channel one eps fits about as well as another: the usual one, then.
            if nearest is None or distance < nearest[0] - (1e-3 if exact == 0 else 1e-9):
                steady = float(np.mean(np.abs(ratio - middle) <= 3e-6 * abs(middle)))
                nearest = distance, norm, eps, exact, steady
    if nearest is None or not nearest[0] < 0.1:
        return None
    return nearest[1:]


def _solved(scales: Floats, norm: Norm) -> Iterator[float]:
    """The eps that most channels agree on, if it is none of the common ones: (gamma / s)^2 - var."""
    with np.errstate(divide="ignore", invalid="ignore"):
        each = np.square(norm.gamma / scales) - norm.variance
    each = each[np.isfinite(each)]
    if len(each) < 3:
        return
    middle = float(np.median(each))
    # The subtraction leaves the rounding of the variance in it.
    agree = np.abs(each - middle) <= 1e-5 * (float(np.median(norm.variance)) + abs(middle))
    if middle > 0 and agree.mean() > 0.5:
        yield middle
