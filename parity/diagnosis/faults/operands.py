"""Faults in numbers that ONNX makes constant inputs: bounds, scales, masks."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from onnx import NodeProto

from .constants import Array
from .graph import Graph, label, like
from .planting import Edit, Fault, Site, at

_MASKED = -1e4  # at most this much: a number that stands for "never"


class ClipBounds(Fault):
    """The upper bound is half way down, or the lower one lower by a quarter of the range."""

    name = "clip-bounds"
    cause_kind = "attribute"

    def find(self, graph: Graph) -> Iterator[Site]:
        for position, node in graph.computed():
            if node.op_type == "Clip":
                bounds = graph.operand(node, 1), graph.operand(node, 2)
                if all(bound is not None and np.isfinite(bound) for bound in bounds):
                    yield from (at(position, node, node.input[index], (index,)) for index in (1, 2))

    def edit(self, graph: Graph, node: NodeProto, site: Site) -> Edit:
        (index,) = site.choice
        low, high = graph.operand(node, 1), graph.operand(node, 2)
        assert low is not None
        assert high is not None
        after = low - 0.25 * (high - low) if index == 1 else 0.5 * (low + high)
        before, which = (low, "min") if index == 1 else (high, "max")
        tensor = graph.set_operand(node, index, like(before, after))
        return Edit([node], f"{which} is {after:.6g} in the file, {before:.6g} in the module", tensor)


class AttentionScale(Fault):
    """The scores are divided by the width of a head rather than by its root."""

    name = "attention-scale"
    cause_kind = "attribute"

    def find(self, graph: Graph) -> Iterator[Site]:
        found = {
            label(node): index
            for softmax in graph.nodes
            if softmax.op_type == "Softmax"
            for node, index in _scales(graph, softmax.input[0], depth=6)
        }
        for position, node in enumerate(graph.nodes):
            if label(node) in found:
                index = found[label(node)]
                yield at(position, node, node.input[index], (index,))

    def edit(self, graph: Graph, node: NodeProto, site: Site) -> Edit:
        (index,) = site.choice
        before = graph.operand(node, index)
        assert before is not None
        tensor = graph.set_operand(node, index, like(before, before**2))
        was, now = float(before.flat[0]), float(before.flat[0]) ** 2
        return Edit([node], f"the scale is {now:.6g} in the file, {was:.6g} in the module", tensor)


class MaskConstant(Fault):
    """What is masked counts a little: -1 in place of a number that stands for minus infinity."""

    name = "mask-constant"
    cause_kind = "attribute"

    def find(self, graph: Graph) -> Iterator[Site]:
        for position, node in graph.computed():
            for index, name in enumerate(node.input):
                value = graph.constant(name)
                if value is not None and graph.is_float(name) and np.any(value <= _MASKED):
                    yield at(position, node, name, (index,))

    def edit(self, graph: Graph, node: NodeProto, site: Site) -> Edit:
        (index,) = site.choice
        before = graph.operand(node, index)
        assert before is not None
        tensor = graph.set_operand(node, index, like(before, np.where(before <= _MASKED, -1.0, before)))
        return Edit([node], f"the mask is -1 in the file, {before.min():.6g} in the module", tensor)


class EpsilonConstant(Fault):
    """The epsilon of a norm that the exporter wrote out: added before a square root."""

    name = "epsilon-constant"
    cause_kind = "attribute"

    def find(self, graph: Graph) -> Iterator[Site]:
        for position, node in graph.computed():
            if node.op_type == "Add" and any(
                each.op_type == "Sqrt" for each in graph.consumers[node.output[0]]
            ):
                for index in (0, 1):
                    value = graph.operand(node, index)
                    if value is not None and value.size == 1 and 0 < value.flat[0] < 5e-4:
                        yield at(position, node, node.input[index], (index,))

    def edit(self, graph: Graph, node: NodeProto, site: Site) -> Edit:
        (index,) = site.choice
        before = graph.operand(node, index)
        assert before is not None
        tensor = graph.set_operand(node, index, np.full_like(before, 1e-3))
        return Edit([node], f"epsilon is 0.001 in the file, {before.flat[0]:.6g} in the module", tensor)


def _scales(graph: Graph, name: str, depth: int) -> Iterator[tuple[NodeProto, int]]:
    """Products with a constant number on the way to the scores, and which input it is."""
    node = graph.producers.get(name)
    if node is None or depth == 0 or graph.constant(name) is not None:
        return
    if node.op_type in ("Mul", "Div"):
        for index, each in enumerate(node.input):
            if _is_scale(graph.constant(each)) and (index == 1 or node.op_type == "Mul"):
                yield node, index
    if node.op_type in ("Add", "Where", "Mul", "Div", "MatMul", "Transpose"):
        for each in node.input:
            yield from _scales(graph, each, depth - 1)


def _is_scale(value: Array | None) -> bool:
    if value is None or value.size != 1:
        return False
    number = abs(float(value.flat[0]))
    return 1e-4 < number < 1e4 and number != 1


OPERAND_FAULTS: tuple[type[Fault], ...] = (
    ClipBounds,
    AttentionScale,
    MaskConstant,
    EpsilonConstant,
)
