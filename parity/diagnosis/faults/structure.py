"""Faults in the operators themselves: dropped, or taken for others."""

from __future__ import annotations

from collections.abc import Iterator
from math import pi, sqrt
from typing import ClassVar

import numpy as np
from onnx import NodeProto, TensorProto, helper

from .graph import Graph, label, set_attribute
from .planting import CauseKind, Edit, Fault, Site, at

# What a converter may take an activation for.
_MISTAKEN = {
    "Relu": "LeakyRelu",
    "LeakyRelu": "Relu",
    "Elu": "Selu",
    "Gelu": "Mish",
    "HardSwish": "Mish",
    "Sigmoid": "HardSigmoid",
    "HardSigmoid": "Sigmoid",
    "Softplus": "Relu",
    "Tanh": "Softsign",
}
_SINCE = {"Mish": 18}  # opsets
_ACTIVATIONS = {*_MISTAKEN, "PRelu", "Celu", "Selu", "Clip", "Mish"}


class DroppingFault(Fault):
    """An operator is missing: what it took goes on in its place."""

    cause_kind: ClassVar[CauseKind] = "structure"

    def find(self, graph: Graph) -> Iterator[Site]:
        for position, node in graph.computed():
            index = self.kept(graph, node)
            if index is not None and graph.can_bypass(node, index):
                yield at(position, node, choice=(index,))

    def edit(self, graph: Graph, node: NodeProto, site: Site) -> Edit:
        was = f"{label(node)} ({node.op_type})"
        followers = graph.bypass(node, site.choice[0])
        return Edit(followers, f"follows directly, without {was} of the module")

    def kept(self, graph: Graph, node: NodeProto) -> int | None:
        """Which input takes the place of the node; None when the fault does not apply."""
        raise NotImplementedError


class ReluDropped(DroppingFault):
    name = "relu-dropped"

    def kept(self, graph: Graph, node: NodeProto) -> int | None:  # noqa: ARG002
        return 0 if node.op_type == "Relu" else None


class ActivationDropped(DroppingFault):
    name = "activation-dropped"

    def kept(self, graph: Graph, node: NodeProto) -> int | None:  # noqa: ARG002
        return 0 if node.op_type in _ACTIVATIONS - {"Relu"} else None


class ResidualDropped(DroppingFault):
    """A sum of two computed tensors is the later of them alone: the shortcut is missing."""

    name = "residual-dropped"

    def kept(self, graph: Graph, node: NodeProto) -> int | None:
        if node.op_type != "Add" or any(graph.constant(name) is not None for name in node.input):
            return None
        index = int(np.argmax([graph.position(name) for name in node.input]))
        return index if graph.same_shape(node.input[index], node.output[0]) else None


class BiasDropped(Fault):
    """A bias is missing, be it an input of the layer or a sum behind it."""

    name = "bias-dropped"
    cause_kind = "structure"
    _bias: ClassVar[dict[str, int]] = {
        "Conv": 2,
        "ConvTranspose": 2,
        "Gemm": 2,
        "LSTM": 3,
        "GRU": 3,
        "RNN": 3,
    }

    def find(self, graph: Graph) -> Iterator[Site]:
        for position, node in graph.computed():
            index = self._bias.get(node.op_type)
            if index is not None:
                bias = graph.operand(node, index)
                if bias is not None and np.any(bias):
                    yield at(position, node, node.input[index])
            elif node.op_type == "Add":
                yield from self._sums(graph, position, node)

    def _sums(self, graph: Graph, position: int, node: NodeProto) -> Iterator[Site]:
        for index in (0, 1):
            product = graph.producers.get(node.input[index])
            bias = graph.operand(node, 1 - index)
            if product is None or product.op_type != "MatMul" or bias is None or not np.any(bias):
                continue
            if graph.can_bypass(node, index) and graph.same_shape(node.input[index], node.output[0]):
                yield at(position, node, node.input[1 - index], (index,))

    def edit(self, graph: Graph, node: NodeProto, site: Site) -> Edit:
        if node.op_type == "Add":
            was = f"{label(node)} (Add of {site.tensor})"
            return Edit(graph.bypass(node, site.choice[0]), f"follows directly, without {was} of the module")
        index = self._bias[node.op_type]
        node.input[index] = ""
        if index == len(node.input) - 1:
            del node.input[index]
        return Edit([node], f"has no bias in the file, {site.tensor} in the module")


class ActivationReplaced(Fault):
    name = "activation-replaced"
    cause_kind = "structure"

    def find(self, graph: Graph) -> Iterator[Site]:
        for position, node in graph.computed():
            wrong = _MISTAKEN.get(node.op_type)
            if wrong is not None and graph.opset >= _SINCE.get(wrong, 1):
                yield at(position, node)

    def edit(self, graph: Graph, node: NodeProto, site: Site) -> Edit:  # noqa: ARG002
        before, node.op_type = node.op_type, _MISTAKEN[node.op_type]
        del node.attribute[:]
        return Edit([node], f"is {node.op_type} in the file, {before} in the module")


class PoolReplaced(Fault):
    """The greatest for the mean, or the mean for the greatest."""

    name = "pool-replaced"
    cause_kind = "structure"
    _other: ClassVar[dict[str, str]] = {
        "GlobalAveragePool": "GlobalMaxPool",
        "GlobalMaxPool": "GlobalAveragePool",
        "AveragePool": "MaxPool",
        "MaxPool": "AveragePool",
        "ReduceMean": "ReduceMax",
        "ReduceMax": "ReduceMean",
    }

    def find(self, graph: Graph) -> Iterator[Site]:
        for position, node in graph.computed():
            if node.op_type in self._other and len(node.output) == 1:
                yield at(position, node)

    def edit(self, graph: Graph, node: NodeProto, site: Site) -> Edit:  # noqa: ARG002
        before, node.op_type = node.op_type, self._other[node.op_type]
        for only_one_has in ("count_include_pad", "storage_order", "dilations"):
            set_attribute(node, only_one_has, None)
        return Edit([node], f"is {node.op_type} in the file, {before} in the module")


class ErfAsTanh(Fault):
    """GELU by its tanh formula where the module has the exact one, written out with Erf.

    erf(u) is taken for tanh(sqrt(2/pi) (x + 0.044715 x^3)) with x = sqrt(2) u; Hendrycks and Gimpel,
    arXiv:1606.08415.
    """

    name = "erf-as-tanh"
    cause_kind = "structure"

    def find(self, graph: Graph) -> Iterator[Site]:
        for position, node in graph.computed():
            if node.op_type == "Erf" and graph.element_type(node.input[0]) == TensorProto.FLOAT:
                yield at(position, node)

    def edit(self, graph: Graph, node: NodeProto, site: Site) -> Edit:
        u, output, was = node.input[0], node.output[0], label(node)
        linear, cubic = (
            graph.add_initializer("gelu", np.array(value, np.float32))
            for value in (2 / sqrt(pi), 4 * 0.044715 / sqrt(pi))
        )
        names = [graph.fresh(f"{output}_{step}") for step in ("square", "cubic", "sum", "inner")]
        new = [
            helper.make_node("Mul", [u, u], [names[0]]),
            helper.make_node("Mul", [names[0], cubic], [names[1]]),
            helper.make_node("Add", [names[1], linear], [names[2]]),
            helper.make_node("Mul", [u, names[2]], [names[3]]),
            helper.make_node("Tanh", [names[3]], [output]),
        ]
        for each in new:
            each.name = graph.fresh(f"{each.output[0]}_{each.op_type}")
        graph.nodes.remove(node)
        graph.insert(site.position, new)
        inserted = list(graph.nodes[site.position : site.position + len(new)])
        return Edit(inserted[::-1], f"stands for {was} (Erf) of the module: GELU by its tanh formula")


STRUCTURE_FAULTS: tuple[type[Fault], ...] = (
    ReluDropped,
    ActivationDropped,
    ResidualDropped,
    BiasDropped,
    ActivationReplaced,
    PoolReplaced,
    ErfAsTanh,
)
