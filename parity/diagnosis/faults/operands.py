"""Faults in parameters that ONNX makes constant inputs: bounds, indices, axes, scales, masks."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import ModelProto, NodeProto

from .constants import Array
from .graph import Graph, attribute, label, like, set_attribute
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


class SliceShifted(Fault):
    """The same length, one element further on."""

    name = "slice-shifted"
    cause_kind = "attribute"

    def find(self, graph: Graph) -> Iterator[Site]:
        for position, node in graph.computed():
            ranges = _slice_ranges(graph, node) if node.op_type == "Slice" else []
            for entry, (start, end, size) in enumerate(ranges):
                if end > start and (end < size or start > 0):
                    yield at(position, node, node.input[1], (entry,))

    def edit(self, graph: Graph, node: NodeProto, site: Site) -> Edit:
        (entry,) = site.choice
        start, end, size = _slice_ranges(graph, node)[entry]
        shift = 1 if end < size else -1
        for index, value in ((1, start + shift), (2, end + shift)):
            bounds = graph.operand(node, index)
            assert bounds is not None
            after = bounds.copy()
            after[entry] = value
            tensor = graph.set_operand(node, index, after)
        was = f"[{start}:{end}]"
        return Edit([node], f"takes [{start + shift}:{end + shift}] in the file, {was} in the module", tensor)


class GatherIndex(Fault):
    name = "gather-index"
    cause_kind = "attribute"

    def find(self, graph: Graph) -> Iterator[Site]:
        for position, node in graph.computed():
            if node.op_type == "Gather":
                indices, shape = graph.operand(node, 1), graph.shape(node.input[0])
                if indices is not None and indices.size and shape and shape[attribute(node, "axis", 0)] > 1:
                    yield at(position, node, node.input[1])

    def edit(self, graph: Graph, node: NodeProto, site: Site) -> Edit:  # noqa: ARG002
        indices, shape = graph.operand(node, 1), graph.shape(node.input[0])
        assert indices is not None
        assert shape is not None
        size = shape[attribute(node, "axis", 0)]
        after = indices.copy()
        before = int(after.flat[0]) % size
        after.flat[0] = before + 1 if before + 1 < size else before - 1
        tensor = graph.set_operand(node, 1, after)
        return Edit([node], f"the index is {after.flat[0]} in the file, {before} in the module", tensor)


class ReduceAxis(Fault):
    """Another axis is reduced; only where the model still gives the same shapes."""

    name = "reduce-axis"
    cause_kind = "attribute"

    def find(self, graph: Graph) -> Iterator[Site]:
        for position, node in graph.computed():
            if node.op_type.startswith("Reduce"):
                for wrong in _other_axes(graph, node):
                    if _keeps_outputs(graph, position, wrong):
                        yield at(position, node, choice=tuple(wrong))

    def edit(self, graph: Graph, node: NodeProto, site: Site) -> Edit:
        before, after = _axes(graph, node), list(site.choice)
        tensor = _set_axes(graph, node, after)
        del graph.model.graph.value_info[:]  # with keepdims, tensors in between have other shapes
        return Edit([node], f"axes is {after} in the file, {before} in the module", tensor)


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


def _slice_ranges(graph: Graph, node: NodeProto) -> list[tuple[int, int, int]]:
    """(start, end, size of the axis) for each sliced axis; empty unless all is constant and the step 1."""
    shape = graph.shape(node.input[0])
    starts, ends = graph.operand(node, 1), graph.operand(node, 2)
    if shape is None or starts is None or ends is None:
        return []
    axes, steps = graph.operand(node, 3), graph.operand(node, 4)
    if axes is None:
        axes = np.arange(len(starts))
    if steps is not None and np.any(steps != 1):
        return []
    ranges = [slice(int(a), int(b)) for a, b in zip(starts, ends, strict=True)]
    sizes = [shape[int(axis)] for axis in axes]
    return [(*each.indices(size)[:2], size) for each, size in zip(ranges, sizes, strict=True)]


def _axes(graph: Graph, node: NodeProto) -> list[int] | None:
    """Reduced axes, none of them negative; an input since opset 18 (ReduceSum: 13), an attribute before."""
    shape, given = graph.shape(node.input[0]), graph.operand(node, 1)
    axes = attribute(node, "axes", None) if given is None else given.tolist()
    return None if shape is None or not axes else [int(axis) % len(shape) for axis in axes]


def _set_axes(graph: Graph, node: NodeProto, axes: list[int]) -> str:
    if len(node.input) > 1:
        return graph.set_operand(node, 1, np.array(axes, np.int64))
    set_attribute(node, "axes", axes)
    return ""


def _other_axes(graph: Graph, node: NodeProto) -> Iterator[list[int]]:
    """One reduced axis exchanged for another of the same size."""
    axes, shape = _axes(graph, node), graph.shape(node.input[0])
    if axes is None or shape is None:
        return
    for i, axis in enumerate(axes):
        for other, size in enumerate(shape):
            if other not in axes and size == shape[axis] > 1:
                yield [*axes[:i], other, *axes[i + 1 :]]


def _keeps_outputs(graph: Graph, position: int, axes: list[int]) -> bool:
    """Whether the model with these axes is still consistent, with outputs of the same known shapes."""
    trial = ModelProto()
    trial.CopyFrom(graph.model)
    del trial.graph.value_info[:]
    for each in trial.graph.output:
        each.type.tensor_type.ClearField("shape")
    edited = Graph(trial)
    _set_axes(edited, edited.nodes[position], axes)
    try:
        after = Graph(onnx.shape_inference.infer_shapes(trial, strict_mode=True, data_prop=True))
    except onnx.shape_inference.InferenceError:
        return False
    return all(
        graph.shape(name) is not None and graph.shape(name) == after.shape(name) for name in graph.outputs
    ) and _channels_fit(after)


def _channels_fit(graph: Graph) -> bool:
    """Whether every convolution has the channels that it needs, which ONNX does not check."""
    for node in graph.nodes:
        if node.op_type == "Conv":
            x, weight = graph.shape(node.input[0]), graph.shape(node.input[1])
            if x is None or weight is None or x[1] != weight[1] * attribute(node, "group", 1):
                return False
    return True


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
    SliceShifted,
    GatherIndex,
    ReduceAxis,
    AttentionScale,
    MaskConstant,
    EpsilonConstant,
)
