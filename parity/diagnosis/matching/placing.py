"""The module path and source line of ONNX nodes."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from onnx import ModelProto, NodeProto
from torch import nn

from parity.diagnosis.torch64.places import _shown
from parity.diagnosis.tracing import Trace, TracedOp

from .kinds import may_stand_for
from .pairing import Matches

_FRAME = re.compile(r'File "([^"]+)", line (\d+)')
_PYTORCH = ("/site-packages/torch/", "/dist-packages/torch/")  # also of the machine that made the file


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the PyTorch model something is computed.

    Args:
        module: its path; empty in the root module.
        source: ``model.py:31``; empty where nothing tells.
    """

    module: str
    source: str


def places(
    graph: Trace, module: Trace, matches: Matches, model: ModelProto, root: nn.Module
) -> Mapping[str, Place]:
    """Places of the nodes in a graph's trace, by their labels; of those where anything tells.

    First by the PyTorch operator that gave the tensor which the node's result equals, then by what the
    exporter wrote into the file (metadata, scoped names), by the names of the node's initializers, and last
    by its neighbours.

    Args:
        graph: the ONNX graph's trace.
        module: the PyTorch module's.
        matches: of the two.
        model: the ONNX model; its weights may be left out.
        root: the PyTorch module.
    """
    found: dict[str, Place] = {}
    written = _Written(module, model, root)
    for op in graph.ops:
        place = _by_value(op, module, matches) or written.place(op)
        if place is not None:
            found[op.node] = place
    _spread(graph, found)
    return found


def module_paths(root: nn.Module) -> Mapping[str, nn.Module]:
    """All modules by the path that traces have, without the names that `torch.compile` puts in between."""
    return {
        ".".join(part for part in name.split(".") if part != "_orig_mod"): module
        for name, module in root.named_modules()
    }


def _by_value(op: TracedOp, module: Trace, matches: Matches) -> Place | None:
    """The operator that first gave the value: views of it, in modules further on, have it too."""
    for index in op.outputs:
        if index is None:
            continue
        exact = [match for match in matches.by_tensor[index] if match.exact]
        for match in sorted(exact, key=lambda each: (not each.same_shape, each.tensor)):
            producer = module.producer(match.tensor)
            if producer is not None:
                return Place(producer.module, producer.source)
    return None


class _Written:
    """Places by what is written in the file."""

    def __init__(self, module: Trace, model: ModelProto, root: nn.Module) -> None:
        self._nodes = {label(node): node for node in model.graph.node}
        self._modules = module_paths(root)
        self._held = {
            ".".join(part for part in name.split(".") if part != "_orig_mod")
            for name, _ in (*root.named_parameters(), *root.named_buffers())
        }
        self._ops: dict[str, list[TracedOp]] = {}  # of each module, those inside of it included
        for op in module.ops:
            for path in enclosing(op.module):
                self._ops.setdefault(path, []).append(op)

    def place(self, op: TracedOp) -> Place | None:
        """The place of a node of the trace."""
        node = self._nodes.get(op.node)
        if node is None:
            return None
        metadata = {entry.key: entry.value for entry in node.metadata_props}
        path = self._by_metadata(metadata)
        if path is None:
            path = self._by_name(node.name)
        if path is None:
            path = self._by_initializers(node)
        line = _line(metadata.get("pkg.torch.onnx.stack_trace", ""))
        if path is None:
            return Place("", line) if line else None
        return Place(path, line or self._observed(op, path))

    def _observed(self, node: TracedOp, path: str) -> str:
        """The line of an operator seen in a module: best in it itself, and one that may be this node."""
        ops = [op for op in self._ops.get(path, ()) if op.source]
        best = max(ops, key=lambda op: (op.module == path, may_stand_for(node, op) is True), default=None)
        return best.source if best is not None else ""

    def _by_metadata(self, metadata: Mapping[str, str]) -> str | None:
        """The innermost module that the dynamo exporter noted: ``['', 'stem', 'stem.0', 'conv2d']``."""
        try:
            scopes = ast.literal_eval(metadata.get("pkg.torch.onnx.name_scopes", "None"))
        except (ValueError, SyntaxError):
            return None
        if not isinstance(scopes, list):
            return None
        known = (
            scope for scope in reversed(scopes[:-1]) if scope in self._modules
        )  # the last is the operator
        return next(known, None)

    def _by_name(self, name: str) -> str | None:
        """The innermost module of a scoped name: ``/blocks/blocks.1/norm/Conv`` is in `blocks.1.norm`."""
        parts = name.split("/")
        path, found = "", name.startswith("/") and len(parts) == len(["", "Relu"])  # /Relu is in the root
        for part in parts[1:-1]:
            # A child of a list or a Sequential has its name in its own: blocks.1/blocks.1.4.
            candidates = (f"{around}.{part}".lstrip(".") for around in enclosing(path))
            child = next((each for each in candidates if each in self._modules), None)
            if child is not None:
                path, found = child, True
        return path if found else None

    def _by_initializers(self, node: NodeProto) -> str | None:
        """The module of a parameter that the node takes by its own name."""
        for name in node.input:
            if name in self._held:
                return str(name).rpartition(".")[0]
        return None


def label(node: NodeProto) -> str:
    """How a trace calls a node: by its name, or its first output."""
    return node.name or next((name for name in node.output if name), "")


def enclosing(path: str) -> Iterator[str]:
    """A module and those around it, up to the root, whose path is empty."""
    while path:
        yield path
        path = path.rpartition(".")[0]
    yield ""


def inside(path: str, around: str) -> bool:
    """Whether one module is the other or in it."""
    return not around or path == around or path.startswith(f"{around}.")


def _line(stack: str) -> str:
    """The innermost line of a stack trace that is the model's own."""
    for file, line in reversed(_FRAME.findall(stack)):
        if not any(part in file.replace("\\", "/") for part in _PYTORCH):
            name = _shown(file)
            if name is not None:
                return f"{name}:{line}"
    return ""


def _spread(graph: Trace, found: dict[str, Place]) -> None:
    """Gives nodes that have no place that of the node before them, or else of the one behind."""
    for op in graph.ops:
        if op.node not in found:
            before = (graph.producer(index) for index in op.inputs if index is not None)
            place = next((found[each.node] for each in before if each and each.node in found), None)
            if place is not None:
                found[op.node] = place
    for op in reversed(graph.ops):
        if op.node not in found:
            behind = (user for index in op.outputs if index is not None for user in graph.consumers[index])
            place = next((found[user.node] for user in behind if user.node in found), None)
            if place is not None:
                found[op.node] = place
