"""Nodes in the bodies of control flow, which a trace of the main graph does not show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from onnx import ModelProto, NodeProto

from parity.diagnosis.graphs.view import bodies, key, label
from parity.diagnosis.initializers.tensors import module_of


@dataclass(frozen=True, slots=True)
class InnerNode:
    """A node of a body.

    Args:
        node: by its name, or its first output if it has none.
        op_type: its operator.
        output: the tensor that it gives.
        module: that the exporter notes at it; empty where it notes none.
        around: the node of the main graph that it is in.
    """

    node: str
    op_type: str
    output: str
    module: str
    around: str


def inner_nodes(model: ModelProto) -> Mapping[str, InnerNode]:
    """All of them by their labels; those that a node of the main graph is called by are left out."""
    outer = {label(node) for node in model.graph.node}
    return {
        label(each): InnerNode(label(each), each.op_type, key(each), module_of(each), label(node))
        for node in model.graph.node
        for each in _inside(node)
        if label(each) not in outer
    }


def _inside(node: NodeProto) -> Iterator[NodeProto]:
    for body in bodies(node):
        for each in body.node:
            yield each
            yield from _inside(each)
