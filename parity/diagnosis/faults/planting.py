"""What all faults share: where one may go, what it leaves behind, and how a site is chosen."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from onnx import ModelProto, NodeProto

from .graph import Graph, label

# Those causes of a diagnosis that lie in a file. What comes from the checkpoint is an initializer; any other
# parameter of an operator is an attribute, also where ONNX makes it a constant input.
CauseKind = Literal["initializer", "attribute", "structure", "precision", "nan"]


@dataclass(frozen=True)
class Site:
    """A place in a model where a fault can be planted; it holds for this very model."""

    position: int  # of the node in the graph
    node: str  # its name, or its first output if it has none
    op_type: str
    tensor: str = ""  # the constant that is altered, if it is one
    choice: tuple[int, ...] = ()  # which input, axes or the like; each fault has its own


@dataclass(frozen=True)
class Planted:
    """A model with one fault in it, and what a diagnosis should find.

    `node` is the node that it must name. Where several are equally right (both casts of a round trip, all
    that took what a dropped operator gave), `accepted` has them all.
    """

    model: ModelProto
    fault: str
    cause_kind: CauseKind
    node: str
    op_type: str
    tensor: str
    message: str  # before and after
    accepted: tuple[str, ...]


@dataclass(frozen=True)
class Edit:
    """What an edit did, told by the fault: the nodes at fault, the first of them to be named."""

    nodes: Sequence[NodeProto]
    message: str
    tensor: str = ""


class Fault(ABC):
    """One kind of fault. It knows no state: sites and edits depend on the model alone."""

    name: ClassVar[str]
    cause_kind: ClassVar[CauseKind]

    def sites(self, model: ModelProto) -> tuple[Site, ...]:
        """Where it can go; empty when it does not apply."""
        return tuple(self.find(Graph(model)))

    def plant(self, model: ModelProto, site: Site) -> Planted:
        """A copy of the model with the fault at one of its sites."""
        copy = ModelProto()
        copy.CopyFrom(model)
        graph = Graph(copy)
        edit = self.edit(graph, graph.nodes[site.position], site)
        first = edit.nodes[0]
        planted = Planted(
            copy,
            self.name,
            self.cause_kind,
            label(first),
            first.op_type,
            edit.tensor,
            f"{label(first)}: {edit.message}",
            tuple(dict.fromkeys(label(node) for node in edit.nodes)),
        )
        graph.tidy()
        return planted

    @abstractmethod
    def find(self, graph: Graph) -> Iterable[Site]:
        """The sites in a graph, in its order. The graph is only looked at."""

    @abstractmethod
    def edit(self, graph: Graph, node: NodeProto, site: Site) -> Edit:
        """Plants the fault in a graph that is the fault's to change."""


def at(position: int, node: NodeProto, tensor: str = "", choice: tuple[int, ...] = ()) -> Site:
    """The site at a node."""
    return Site(position, label(node), node.op_type, tensor, choice)


def choose(sites: Sequence[Site], seed: int) -> Site:
    """One of the sites, the same for the same seed.

    Raises:
        ValueError: there is none.
    """
    if not sites:
        raise ValueError("the fault has no site in this model")
    return sites[int(np.random.default_rng(seed).integers(len(sites)))]


def find_sites(model: ModelProto, faults: Iterable[type[Fault]]) -> dict[str, tuple[Site, ...]]:
    """The sites of many faults in one model, by the faults' names; those that do not apply are left out."""
    graph = Graph(model)
    found: Iterator[tuple[str, tuple[Site, ...]]] = (
        (fault.name, tuple(fault().find(graph))) for fault in faults
    )
    return {name: sites for name, sites in found if sites}
