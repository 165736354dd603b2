"""Faults in what goes where: inputs and outputs in the wrong order."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from onnx import NodeProto

from .graph import Graph
from .planting import Edit, Fault, Site, at


class OperandsSwapped(Fault):
    """b - a for a - b, b / a for a / b."""

    name = "operands-swapped"
    cause_kind = "structure"

    def find(self, graph: Graph) -> Iterator[Site]:
        for position, node in graph.computed():
            if node.op_type in ("Sub", "Div", "Pow") and node.input[0] != node.input[1]:
                yield at(position, node)

    def edit(self, graph: Graph, node: NodeProto, site: Site) -> Edit:  # noqa: ARG002
        first, second = node.input
        node.input[:] = [second, first]
        return Edit([node], f"takes ({second}, {first}) in the file, ({first}, {second}) in the module")


class ConcatOrder(Fault):
    name = "concat-order"
    cause_kind = "structure"

    def find(self, graph: Graph) -> Iterator[Site]:
        for position, node in graph.computed():
            if node.op_type == "Concat":
                for pair in combinations(range(len(node.input)), 2):
                    if node.input[pair[0]] != node.input[pair[1]]:
                        yield at(position, node, choice=pair)

    def edit(self, graph: Graph, node: NodeProto, site: Site) -> Edit:  # noqa: ARG002
        i, j = site.choice
        node.input[i], node.input[j] = node.input[j], node.input[i]
        return Edit([node], f"its inputs {i} and {j} are in the other order in the module")


class OutputOrder(Fault):
    """Two outputs of one shape have each other's names."""

    name = "output-order"
    cause_kind = "structure"

    def find(self, graph: Graph) -> Iterator[Site]:
        for i, j in combinations(range(len(graph.outputs)), 2):
            one, other = graph.outputs[i], graph.outputs[j]
            if (
                graph.same_shape(one, other)
                and graph.is_float(one)
                and graph.element_type(one) == graph.element_type(other)
            ):
                position = graph.position(one)
                if position >= 0 and graph.position(other) >= 0:
                    yield at(position, graph.nodes[position], one, (i, j))

    def edit(self, graph: Graph, node: NodeProto, site: Site) -> Edit:  # noqa: ARG002
        one, other = (graph.outputs[i] for i in site.choice)
        nodes = [graph.producers[one], graph.producers[other]]
        graph.rename({one: other, other: one})
        return Edit(nodes, f"the outputs {one!r} and {other!r} have each other's place in the module")


WIRING_FAULTS: tuple[type[Fault], ...] = (
    OperandsSwapped,
    ConcatOrder,
    OutputOrder,
)
