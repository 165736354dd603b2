"""Traces a graph while it is evaluated in float64."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from parity.diagnosis.onnx64 import Evaluation, Graph64, Memory, Step, Value

from .sketches import Sketch, sketch
from .trace import Trace, TracedOp, TracedTensor

# They give the elements of their first input in the same flat order.
_RESHAPING = frozenset(["Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity"])


def trace_graph(
    graph: Graph64, feeds: Mapping[str, object], memory: Memory[Sketch] | None = None
) -> tuple[Evaluation, Trace]:
    """Evaluates a graph once and traces the nodes of its main graph.

    A call of a function and a node with control flow are one operator each: what runs inside is not traced.
    A `memory`, as `Graph64.run` takes it, has sketches for its notes.

    Raises:
        parity.worker.problems.Unable: as `Graph64.run`.
    """
    recorder = _Recorder(graph.inputs, {} if memory is None else memory.notes)
    for name, value in feeds.items():
        recorder.add(name, value, constant=False)
    evaluation = graph.run(feeds, recorder.see, memory)
    return evaluation, recorder.trace((*evaluation.outputs, *evaluation.unknown))


class _Recorder:
    def __init__(self, inputs: tuple[str, ...], notes: dict[bytes, Sketch]) -> None:
        self._inputs, self._notes = inputs, notes
        self._tensors: list[TracedTensor] = []
        self._ops: list[TracedOp] = []
        self._index: dict[str, int] = {}

    def see(self, step: Step) -> None:
        """Observes one node."""
        node = step.node
        if node.scope:
            return
        inputs = tuple(
            self._known(name, value, step.keys.get(name)) if name else None
            for name, value in zip(node.inputs, step.inputs, strict=False)
        )
        read = [self._tensors[index] for index in inputs if index is not None]
        constant = all(tensor.constant for tensor in read) and not _captures(node.bodies)
        kept = read[0].sketch if node.op in _RESHAPING and read else None
        number = len(self._ops)
        outputs = tuple(
            self._add(name, self._noted(step.outputs.get(name), step.keys.get(name), kept), constant, number)
            if name
            else None
            for name in node.outputs
        )
        label = node.proto.name or next((name for name in node.outputs if name), "")
        self._ops.append(TracedOp(number, node.op, label, inputs, outputs))

    def add(self, name: str, value: object, *, constant: bool, key: bytes | None = None) -> int:
        """A new tensor that no operator gave; its index."""
        return self._add(name, self._noted(value, key, None), constant, None)

    def _add(self, name: str, taken: Sketch | None, constant: bool, op: int | None) -> int:
        index = self._index[name] = len(self._tensors)
        self._tensors.append(TracedTensor(index, name, taken, op, constant))
        return index

    def _noted(self, value: object, key: bytes | None, like: Sketch | None) -> Sketch | None:
        """A value's sketch, which the same one may have had in an earlier evaluation."""
        if key is not None and key in self._notes:
            return self._notes[key]
        taken = _sketched(value, like)
        if key is not None and taken is not None:
            self._notes[key] = taken
        return taken

    def trace(self, outputs: tuple[str, ...]) -> Trace:
        """What was seen."""
        return Trace(
            tuple(self._tensors),
            tuple(self._ops),
            {name: self._index[name] for name in self._inputs if name in self._index},
            {name: self._index[name] for name in outputs if name in self._index},
        )

    def _known(self, name: str, value: Value, key: bytes | None) -> int:
        """The index of an operand; an initializer is seen here first."""
        if name in self._index:
            return self._index[name]
        return self.add(name, value, constant=True, key=key)


def _captures(bodies: Mapping[str, object]) -> bool:
    """Whether a node may read more than its inputs."""
    return bool(bodies)


def _sketched(value: object, like: Sketch | None) -> Sketch | None:
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in "fiubc":
            return None
        value = torch.from_numpy(np.require(value, requirements=["C", "W"]))  # inputs are mapped read-only
    if not isinstance(value, torch.Tensor):
        return None
    if like is not None and like.size == value.numel():
        return like.reshaped(tuple(value.shape))
    return sketch(value)
