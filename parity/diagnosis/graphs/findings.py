"""What differs between two graphs, and which edits of the file put it right."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from onnx import AttributeProto, NodeProto

from parity.artifacts import Array

Kind = Literal["initializer", "attribute", "structure", "precision", "nan"]


@dataclass(frozen=True)
class Edge:
    """Where a tensor is taken: an input of a node, or an output of the graph.

    `node` is the first output of the node in the file, or the name of the graph's output with slot -1.
    """

    node: str
    slot: int


@dataclass(frozen=True)
class SetAttributes:
    """A node of the file gets these attributes; None takes one away."""

    node: str
    values: dict[str, AttributeProto | None]


@dataclass(frozen=True)
class SetConstant:
    """A constant of the file gets another value, at these edges alone if others take it too."""

    tensor: str
    value: Array
    edges: list[Edge]


@dataclass(frozen=True)
class Redirect:
    """Edges take what stands for a tensor of the fresh graph; "" leaves the input out."""

    expected: str
    edges: list[Edge]


@dataclass(frozen=True)
class SetOperator:
    """A node of the file becomes the operator of a fresh one, on the inputs that it has."""

    node: str
    like: NodeProto


Fix = SetAttributes | SetConstant | Redirect | SetOperator


@dataclass
class Finding:
    """One change as the walk finds it: `node` of the file is to be named."""

    kind: Kind
    node: NodeProto | None  # None: no node gives what is wrong; an input of the graph is its output
    message: str
    output: str = ""  # the wrong tensor, where no node can be named
    tensor: str = ""
    counterpart: NodeProto | None = None
    fixes: list[Fix] = field(default_factory=list)
    more: list[str] = field(default_factory=list)  # further messages about the same node
    edges: list[Edge] | None = None  # of its only fix, to which further ones are added
