"""Graphs, functions and their nodes, ready to be evaluated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import torch
from onnx import NodeProto

from parity.diagnosis.onnx64.values import Value


def own_name(domain: str) -> str:
    """The domain as it is looked up: ONNX's own has two spellings, of which the empty one counts."""
    return "" if domain == "ai.onnx" else domain


@dataclass(frozen=True, slots=True)
class Setting:
    """What is the same for every node of a model.

    Args:
        device: where floats live and heavy operators run.
        native: the ONNX element type that counts as the model's own float type.
        folder: where external data lies.
        types: ONNX element types of named values, as far as they are known.
    """

    device: torch.device
    native: int
    folder: str
    types: Mapping[str, int]


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One node, ready to run.

    Args:
        proto: as it is in the file, with the attributes of an enclosing function filled in.
        op: the operator; with its domain before a colon unless that is ONNX's own.
        version: of the operator set that its domain is imported in.
        scope: names of the enclosing function calls and control flow nodes, outermost first.
        bodies: its subgraphs by attribute name.
        function: the body of the model-local function that it calls.
        dying: names in its graph that nothing reads after it.
    """

    proto: NodeProto
    op: str
    version: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    bodies: Mapping[str, Program]
    function: Program | None
    setting: Setting
    scope: tuple[str, ...] = ()
    dying: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """How messages call it: its place, its name or first output, and its operator."""
        name = self.proto.name or next((output for output in self.outputs if output), "")
        return f"node {'/'.join((*self.scope, name))!r} ({self.op})"

    def integer(self, name: str, default: int = 0) -> int:
        """An attribute that is an integer."""
        return int(self.attributes.get(name, default))

    def number(self, name: str, default: float = 0.0) -> float:
        """An attribute that is a float32 in the file."""
        return float(self.attributes.get(name, np.float32(default)))

    def text(self, name: str, default: str = "") -> str:
        """An attribute that is a string."""
        return str(self.attributes.get(name, default))

    def integers(self, name: str) -> list[int] | None:
        """An attribute that is a list of integers; `None` when it is left out."""
        value = self.attributes.get(name)
        return None if value is None else list(value)

    @property
    def reads(self) -> frozenset[str]:
        """Names that it needs: inputs, and what its subgraphs take from around them."""
        captured = (body.captured for body in self.bodies.values())
        return frozenset(name for name in self.inputs if name).union(*captured)

    def wants(self, index: int) -> bool:
        """Whether its output number `index` is used."""
        return index < len(self.outputs) and bool(self.outputs[index])


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """The body of a graph or a function: nodes in topological order.

    Args:
        constants: initializers, raised to float64.
        captured: names that it reads from the scope around it.
        declared: declared type and shape of its outputs; for the outputs of a loop that never ran.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    constants: Mapping[str, Value]
    nodes: tuple[Node, ...]
    captured: frozenset[str]
    declared: tuple[onnx.TypeProto | None, ...]
