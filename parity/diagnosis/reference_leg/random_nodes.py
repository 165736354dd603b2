"""Nodes of an ONNX file that draw random numbers or are in training mode, though it is for inference."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, numpy_helper

from parity.diagnosis.tracing import Trace
from parity.records.diagnosis import Cause

_RANDOM = frozenset(
    ["Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"]
)
_DEFAULT = frozenset(["", "ai.onnx"])

_Constants = dict[str, TensorProto]


@dataclass(frozen=True)
class ActiveNode:
    """A node that makes the file another one than in inference.

    Args:
        node: by its name, or its first output if it has none.
        op_type: ``Dropout``.
        why: what it does, to be read after its label.
        random: whether it draws random numbers.
    """

    node: str
    op_type: str
    why: str
    random: bool

    @property
    def cause(self) -> Cause:
        """What to tell the user."""
        mode = self.op_type in {"Dropout", "BatchNormalization"}
        return Cause(
            kind="train-mode" if mode else "nondeterminism",
            leg="export",
            message=f"{self.op_type} {self.why} in the file",
            remedy=(
                "export in eval mode: call eval() on the very module that is exported, a wrapper included"
                if mode
                else "take the random numbers as an input, or leave them out in eval mode"
            ),
            node=self.node,
        )


def active_nodes(model: ModelProto) -> tuple[ActiveNode, ...]:
    """All such nodes in the graph, its subgraphs and the model's functions.

    A Dropout is active when its third input is a true constant, is computed or comes from outside, and its
    ratio is not a constant 0; before opset 7, when it is not `is_test`. Its training mode as a graph input
    counts: the runtime decides then.
    """
    opset = next((entry.version for entry in model.opset_import if entry.domain in _DEFAULT), 1)
    found = list(_in_graph(model.graph, {}, opset))
    for function in model.functions:
        found += _in_nodes(function.node, _constant_nodes(function.node), opset)
    return tuple(found)


def reaching(nodes: tuple[ActiveNode, ...], graph: Trace, output: str) -> tuple[ActiveNode, ...]:
    """Those that an output depends on, and those of subgraphs and functions, of which that is not known.

    Args:
        nodes: of the file.
        graph: the file's trace.
        output: by its name; all nodes count for one that the trace does not have.
    """
    if output not in graph.outputs:
        return nodes
    elsewhere = {op.node for op in graph.ops} - {op.node for op in graph.ancestors(graph.outputs[output])}
    return tuple(node for node in nodes if node.node not in elsewhere)


def _in_graph(graph: GraphProto, outer: _Constants, opset: int) -> Iterator[ActiveNode]:
    constants = outer | {each.name: each for each in graph.initializer} | _constant_nodes(graph.node)
    yield from _in_nodes(graph.node, constants, opset)


def _in_nodes(nodes: Iterable[NodeProto], constants: _Constants, opset: int) -> Iterator[ActiveNode]:
    for node in nodes:
        why = _why(node, constants, opset) if node.domain in _DEFAULT else ""
        if why:
            random = node.op_type != "BatchNormalization"
            yield ActiveNode(node.name or next(iter(node.output), ""), node.op_type, why, random)
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                yield from _in_graph(graph, constants, opset)


def _why(node: NodeProto, constants: _Constants, opset: int) -> str:
    """What an active node does; empty for all others."""
    attributes = {attribute.name: attribute for attribute in node.attribute}
    if node.op_type in _RANDOM:
        return "draws random numbers"
    if node.op_type == "BatchNormalization":
        if opset < 7:
            active = not _integer(attributes, "is_test")
        else:
            active = opset >= 14 and bool(_integer(attributes, "training_mode"))
        return "is in training mode: it normalizes by its own input" if active else ""
    if node.op_type == "Dropout" and _drops(node, attributes, constants, opset):
        return "is in training mode: it drops at random"
    return ""


def _drops(node: NodeProto, attributes: dict[str, AttributeProto], constants: _Constants, opset: int) -> bool:
    if opset < 7:
        return not _integer(attributes, "is_test") and not (
            "ratio" in attributes and attributes["ratio"].f == 0.0
        )
    if opset < 12 or len(node.input) < 3 or not node.input[2]:
        return False
    ratio, mode = (constants.get(name) for name in node.input[1:3])
    if ratio is not None and not np.any(numpy_helper.to_array(ratio)):
        return False
    return mode is None or bool(np.any(numpy_helper.to_array(mode)))


def _integer(attributes: dict[str, AttributeProto], name: str) -> int:
    return attributes[name].i if name in attributes else 0


def _constant_nodes(nodes: Iterable[NodeProto]) -> _Constants:
    return {
        node.output[0]: attribute.t
        for node in nodes
        if node.op_type == "Constant"
        for attribute in node.attribute
        if attribute.name == "value"
    }
