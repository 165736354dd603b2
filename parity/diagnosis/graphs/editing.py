"""The order of nodes, and what subgraphs take from around them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from onnx import GraphProto, NodeProto

from parity.diagnosis.graphs.view import bodies, key, taken


class Unmendable(Exception):
    """A change can't be put right by itself; the message says why."""


def sort(nodes: Sequence[NodeProto]) -> list[NodeProto]:
    """Topological order; the order that they have as far as it holds.

    Raises:
        Unmendable: there is a cycle.
    """
    giver = {name: node for node in nodes for name in node.output if name}
    done: set[str] = set()
    begun: set[str] = set()
    order: list[NodeProto] = []
    for first in nodes:
        pending = [first]
        while pending:
            node = pending[-1]
            if key(node) in done:
                pending.pop()
                continue
            before = [giver[name] for name in taken(node) if name in giver]
            waiting = [each for each in before if key(each) not in done and each is not node]
            if not waiting:
                done.add(key(node))
                order.append(pending.pop())
            elif key(node) in begun:
                raise Unmendable("putting it right alone would make a cycle")
            else:
                begun.add(key(node))
                pending.extend(waiting)
    return order


def outside(body: GraphProto) -> set[str]:
    """Names that a subgraph does not define itself."""
    own = {each.name for each in body.input} | {each.name for each in body.initializer}
    own.update(name for node in body.node for name in node.output)
    used = {name for node in body.node for name in taken(node)} | {each.name for each in body.output}
    return used - own


def rename_inside(body: GraphProto, names: Mapping[str, str]) -> None:
    """Other names for what a subgraph takes from around it."""
    hidden = {each.name for each in body.input} | {each.name for each in body.initializer}
    names = {name: to for name, to in names.items() if name not in hidden}
    for node in body.node:
        for place, each in enumerate(node.input):
            node.input[place] = names.get(each, each)
        for inner in bodies(node):
            rename_inside(inner, names)
    for output in body.output:
        output.name = names.get(output.name, output.name)
