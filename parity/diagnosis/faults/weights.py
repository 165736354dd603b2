"""Faults in what comes from the checkpoint: weights and statistics that are not those of the module."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import ClassVar

import numpy as np
from onnx import NodeProto

from .constants import Array
from .graph import Graph, attribute, label, like
from .planting import CauseKind, Edit, Fault, Site, at

# Operators that multiply by a weight, and the inputs where it may be.
_WEIGHTED = {
    "Conv": (1,),
    "ConvTranspose": (1,),
    "Gemm": (1,),
    "MatMul": (0, 1),
    "LSTM": (1, 2),
    "GRU": (1, 2),
    "RNN": (1, 2),
}
_GATES = {"LSTM": 4, "GRU": 3}
_NORMS = ("LayerNormalization", "BatchNormalization", "InstanceNormalization", "GroupNormalization")


def weights(graph: Graph) -> Iterator[tuple[int, NodeProto, int, Array]]:
    """Every weight of at least two dimensions: position, node, which input, value."""
    for position, node in graph.computed():
        for index in _WEIGHTED.get(node.op_type, ()):
            value = graph.operand(node, index)
            if value is not None and value.ndim >= 2 and value.size > 1 and graph.is_float(node.input[index]):
                yield position, node, index, value


class WeightFault(Fault):
    """A weight is altered as a whole; each kind says how."""

    cause_kind: ClassVar[CauseKind] = "initializer"

    def find(self, graph: Graph) -> Iterator[Site]:
        for position, node, index, value in weights(graph):
            if self.applies(node, value):
                yield at(position, node, node.input[index], (index,))

    def edit(self, graph: Graph, node: NodeProto, site: Site) -> Edit:
        (index,) = site.choice
        before = graph.operand(node, index)
        assert before is not None
        after, message = self.alter(node, before.astype(np.float64))
        tensor = graph.set_operand(node, index, like(before, after))
        return Edit([node], f"{site.tensor}{list(before.shape)} {message}", tensor)

    def applies(self, node: NodeProto, value: Array) -> bool:  # noqa: ARG002
        """Whether the alteration makes another weight of it."""
        return bool(np.any(value))

    def alter(self, node: NodeProto, value: Array) -> tuple[Array, str]:
        """The altered weight, from and in float64, and in words what was done."""
        raise NotImplementedError


class WeightScaled(WeightFault):
    name = "weight-scaled"

    def alter(self, node: NodeProto, value: Array) -> tuple[Array, str]:  # noqa: ARG002
        return 1.02 * value, "is 1.02 times the module's"


class WeightElement(WeightFault):
    """One bit flips: the sign of the greatest element."""

    name = "weight-element"

    def alter(self, node: NodeProto, value: Array) -> tuple[Array, str]:  # noqa: ARG002
        index = np.unravel_index(np.argmax(np.abs(value)), value.shape)
        before = value[index]
        value[index] = -before
        return value, f"at {[int(i) for i in index]} is {-before:.6g}, {before:.6g} in the module"


class WeightChannelZeroed(WeightFault):
    name = "weight-channel-zeroed"

    def alter(self, node: NodeProto, value: Array) -> tuple[Array, str]:
        axis = _output_axis(node)
        rows = np.moveaxis(value, axis, 0)
        strongest = int(np.argmax(np.abs(rows).reshape(len(rows), -1).sum(1)))
        before = np.abs(rows[strongest]).max()
        rows[strongest] = 0.0
        return value, f"is zero in output channel {strongest}, up to {before:.6g} in the module"


class WeightChannelsSwapped(WeightFault):
    name = "weight-channels-swapped"

    def applies(self, node: NodeProto, value: Array) -> bool:
        rows = np.moveaxis(value, _output_axis(node), 0)
        return len(rows) > 1 and not np.array_equal(rows[0], rows[-1])

    def alter(self, node: NodeProto, value: Array) -> tuple[Array, str]:
        rows = np.moveaxis(value, _output_axis(node), 0)
        last = len(rows) - 1
        rows[[0, last]] = rows[[last, 0]]
        return value, f"has the output channels 0 and {last} of the module swapped"


class WeightStale(WeightFault):
    """The tensor of another training step: every element is a little off."""

    name = "weight-stale"

    def alter(self, node: NodeProto, value: Array) -> tuple[Array, str]:
        random = np.random.default_rng(zlib.crc32(label(node).encode()))
        noise = 0.02 * value.std() * random.standard_normal(value.shape)
        return value + noise, "is of another training step, off the module's by 2 % of its deviation"


class WeightTransposed(WeightFault):
    name = "weight-transposed"

    def applies(self, node: NodeProto, value: Array) -> bool:
        square = node.op_type in ("Gemm", "MatMul") and value.shape[-1] == value.shape[-2]
        return square and not np.array_equal(value, np.swapaxes(value, -1, -2))

    def alter(self, node: NodeProto, value: Array) -> tuple[Array, str]:  # noqa: ARG002
        return np.swapaxes(value, -1, -2), "is the module's transposed"


class GateOrder(WeightFault):
    """Frameworks order the gates of recurrent layers differently."""

    name = "gate-order"

    def applies(self, node: NodeProto, value: Array) -> bool:  # noqa: ARG002
        return node.op_type in _GATES

    def alter(self, node: NodeProto, value: Array) -> tuple[Array, str]:
        gates = np.split(value, _GATES[node.op_type], axis=1)
        gates[0], gates[1] = gates[1], gates[0]
        return np.concatenate(gates, 1), "has the first two gates of the module swapped"


class NanWeight(WeightFault):
    name = "nan-weight"
    cause_kind = "nan"

    def alter(self, node: NodeProto, value: Array) -> tuple[Array, str]:  # noqa: ARG002
        before = value.flat[0]
        value.flat[0] = np.nan
        return value, f"at {[0] * value.ndim} is NaN, {before:.6g} in the module"


class NormScaleReset(Fault):
    """The scale of a norm is as before the training."""

    name = "norm-scale-reset"
    cause_kind = "initializer"

    def find(self, graph: Graph) -> Iterator[Site]:
        for position, node in graph.computed():
            scale = graph.operand(node, 1) if node.op_type in _NORMS else None
            if scale is not None and not np.all(scale == 1):
                yield at(position, node, node.input[1])

    def edit(self, graph: Graph, node: NodeProto, site: Site) -> Edit:
        before = graph.operand(node, 1)
        assert before is not None
        tensor = graph.set_operand(node, 1, np.ones_like(before))
        return Edit([node], f"{site.tensor} is all one, {before.flat[0]:.6g}, ... in the module", tensor)


class BatchNormStatistics(Fault):
    """Running statistics of another training step."""

    name = "batchnorm-statistics"
    cause_kind = "initializer"

    def find(self, graph: Graph) -> Iterator[Site]:
        for position, node in graph.computed():
            for index in (3, 4) if node.op_type == "BatchNormalization" else ():
                if graph.operand(node, index) is not None:
                    yield at(position, node, node.input[index], (index,))

    def edit(self, graph: Graph, node: NodeProto, site: Site) -> Edit:
        (index,) = site.choice
        before, variance = graph.operand(node, index), graph.operand(node, 4)
        assert before is not None
        assert variance is not None
        after = before + 0.05 * np.sqrt(variance) if index == 3 else 1.1 * before
        what = "0.05 deviations above" if index == 3 else "1.1 times"
        tensor = graph.set_operand(node, index, like(before, after))
        return Edit([node], f"{site.tensor} is {what} the module's", tensor)


def _output_axis(node: NodeProto) -> int:
    """The axis of a weight along which its outputs lie."""
    if node.op_type == "Gemm":
        return 0 if attribute(node, "transB", 0) else 1
    return {"Conv": 0, "ConvTranspose": 1, "MatMul": -1}.get(node.op_type, 1)


WEIGHT_FAULTS: tuple[type[Fault], ...] = (
    WeightScaled,
    WeightElement,
    WeightChannelZeroed,
    WeightChannelsSwapped,
    WeightStale,
    WeightTransposed,
    GateOrder,
    NanWeight,
    NormScaleReset,
    BatchNormStatistics,
)
