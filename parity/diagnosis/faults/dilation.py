"""The fault of a kernel: several attributes that have to be altered together."""

from __future__ import annotations

from collections.abc import Iterator

from onnx import NodeProto

from .graph import Graph, attribute, set_attribute
from .planting import Edit, Fault, Site, at


class Dilation(Fault):
    """The kernel is spread or drawn together, and the padding with it, so that the size stays."""

    name = "dilation"
    cause_kind = "attribute"

    def find(self, graph: Graph) -> Iterator[Site]:
        for position, node in graph.computed():
            if node.op_type == "Conv" and self._altered(graph, node) is not None:
                yield at(position, node)

    def edit(self, graph: Graph, node: NodeProto, site: Site) -> Edit:  # noqa: ARG002
        altered = self._altered(graph, node)
        assert altered is not None
        before, after, pads = altered
        set_attribute(node, "dilations", after)
        set_attribute(node, "pads", pads)
        return Edit([node], f"dilations is {after} in the file, {before} in the module, pads to match")

    def _altered(self, graph: Graph, node: NodeProto) -> tuple[list[int], list[int], list[int]] | None:
        shape = graph.shape(node.input[1])
        if shape is None:
            return None
        kernel, rank = shape[2:], len(shape) - 2
        before = attribute(node, "dilations", [1] * rank)
        after = [1 if dilation > 1 else 2 for dilation in before]
        grown = [(size - 1) * (new - old) for size, new, old in zip(kernel, after, before, strict=True)]
        pads = attribute(node, "pads", [0] * 2 * rank)
        pads = [pad + grown[i % rank] // 2 for i, pad in enumerate(pads)]
        fits = any(grown) and all(each % 2 == 0 for each in grown) and min(pads) >= 0
        own_pads = attribute(node, "auto_pad", "NOTSET") == "NOTSET"
        return (before, after, pads) if fits and own_pads else None
