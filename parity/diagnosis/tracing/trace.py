"""What a float64 evaluation computed, operator by operator, as data: PyTorch's and the ONNX graph's alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from .sketches import Sketch


@dataclass(frozen=True, slots=True)
class TracedTensor:
    """One value. Of the tensor itself only the sketch is kept.

    Args:
        index: its position in `Trace.tensors`.
        name: its name in the ONNX graph; in PyTorch its operator and number, ``aten.relu.default#12``.
        sketch: None for what is no tensor, such as a sequence, or could not be evaluated.
        op: index of the operator that gave it; None for an input, a parameter or an initializer.
        constant: no input of the graph or the module can change it.
    """

    index: int
    name: str
    sketch: Sketch | None
    op: int | None
    constant: bool


@dataclass(frozen=True, slots=True)
class TracedOp:
    """One operator that ran.

    Args:
        index: its position in `Trace.ops`, which is in the order of evaluation.
        op_type: ``BatchNormalization``, ``aten.relu.default``.
        node: the ONNX node by its name, or its first output if it has none; in PyTorch as its first output.
        inputs: indices of tensors, None where an optional one is left out. In PyTorch tensor arguments only.
        outputs: indices of tensors, None where one is not used.
        module: path of the PyTorch module; empty in the root and, in an ONNX trace, where nothing tells.
        source: ``model.py:31``; empty where nothing tells.
    """

    index: int
    op_type: str
    node: str
    inputs: tuple[int | None, ...]
    outputs: tuple[int | None, ...]
    module: str = ""
    source: str = ""


@dataclass(frozen=True)
class Trace:
    """All operators and tensors of one evaluation.

    Args:
        inputs: tensors by the name of the input.
        outputs: tensors by the name of the ONNX output, in both traces.
    """

    tensors: tuple[TracedTensor, ...]
    ops: tuple[TracedOp, ...]
    inputs: Mapping[str, int]
    outputs: Mapping[str, int]

    @cached_property
    def by_name(self) -> Mapping[str, TracedTensor]:
        """Tensors by name; names are unique in an ONNX graph and in a PyTorch trace."""
        return {tensor.name: tensor for tensor in self.tensors}

    @cached_property
    def consumers(self) -> tuple[tuple[TracedOp, ...], ...]:
        """By tensor: the operators that read it."""
        found: list[list[TracedOp]] = [[] for _ in self.tensors]
        for op in self.ops:
            for index in dict.fromkeys(op.inputs):
                if index is not None:
                    found[index].append(op)
        return tuple(tuple(ops) for ops in found)

    def producer(self, tensor: int) -> TracedOp | None:
        """The operator that gave a tensor."""
        op = self.tensors[tensor].op
        return None if op is None else self.ops[op]

    def ancestors(self, tensor: int) -> Iterator[TracedOp]:
        """The operators that a tensor depends on, each once, the nearest first."""
        seen: set[int] = set()
        waiting = [tensor]
        while waiting:
            op = self.tensors[waiting.pop(0)].op
            if op is None or op in seen:
                continue
            seen.add(op)
            yield self.ops[op]
            waiting.extend(index for index in self.ops[op].inputs if index is not None)
