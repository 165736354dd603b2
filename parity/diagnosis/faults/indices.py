"""Faults in axes and indices that ONNX makes constant inputs: slices, gathers, reductions."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import ModelProto, NodeProto

from .graph import Graph, attribute, set_attribute
from .planting import Edit, Fault, Site, at


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


INDEX_FAULTS: tuple[type[Fault], ...] = (
    SliceShifted,
    GatherIndex,
    ReduceAxis,
)
