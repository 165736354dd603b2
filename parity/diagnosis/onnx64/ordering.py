"""Nodes in the order in which they can be evaluated.

ONNX asks for that order. ONNX Runtime sorts by itself and takes any, and its own converter to float16 writes
the casts of inputs behind all that reads them.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, MutableSequence

from onnx import GraphProto, ModelProto, NodeProto


def order(model: ModelProto) -> ModelProto:
    """The model, in place, with the nodes of every graph and function behind those that they read.

    What is in order already keeps its order, and what is not is moved no further than needed. Nodes in a
    circle stay where they are: nothing can evaluate them.
    """
    for owner in (model.graph, *model.functions):
        _order(owner.node)
    return model


def _order(nodes: MutableSequence[NodeProto]) -> None:
    for node in nodes:
        for graph in _inner(node):
            _order(graph.node)
    makers = {name: place for place, node in enumerate(nodes) for name in node.output if name}
    needs = [
        {makers[name] for name in _read(node) if name in makers} - {place} for place, node in enumerate(nodes)
    ]
    if all(each < place for place, of in enumerate(needs) for each in of):
        return
    places = _sorted(needs)
    if len(places) == len(needs):
        copies = [NodeProto.FromString(nodes[place].SerializeToString()) for place in places]
        del nodes[:]
        nodes.extend(copies)


def _sorted(needs: list[set[int]]) -> list[int]:
    """Kahn's algorithm; of the nodes that are ready, the first of the file goes first."""
    readers: list[list[int]] = [[] for _ in needs]
    for place, of in enumerate(needs):
        for each in of:
            readers[each].append(place)
    waiting = [len(of) for of in needs]
    ready = [place for place, count in enumerate(waiting) if not count]
    found: list[int] = []
    while ready:
        found.append(place := heapq.heappop(ready))
        for reader in readers[place]:
            waiting[reader] -= 1
            if not waiting[reader]:
                heapq.heappush(ready, reader)
    return found


def _read(node: NodeProto) -> Iterator[str]:
    """Names that a node or a graph in it reads; of the latter also its own, which nothing around it makes."""
    yield from node.input
    for graph in _inner(node):
        yield from (value.name for value in graph.output)
        for each in graph.node:
            yield from _read(each)


def _inner(node: NodeProto) -> Iterator[GraphProto]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs
