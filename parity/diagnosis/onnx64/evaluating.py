"""Evaluates a graph in float64 and says of every output that can't be had why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from onnx import ModelProto
from onnx.checker import ValidationError

from parity.artifacts import Array
from parity.diagnosis.onnx64.building import Builder
from parity.diagnosis.onnx64.constants import element_types, load, native_float, without_weights
from parity.diagnosis.onnx64.execution import Executor, Observer
from parity.diagnosis.onnx64.expansion import Expansions
from parity.diagnosis.onnx64.program import Node, Setting, own_name
from parity.diagnosis.onnx64.recalling import Memory, Note, run_recalling
from parity.diagnosis.onnx64.values import Value, as_array, first_unknown, hold, tensor_like
from parity.diagnosis.uninitialized import unfilled
from parity.worker.problems import Unable


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a graph gives.

    Args:
        outputs: by name; float64 for every float type, other dtypes as they are. A sequence is a list, an
            optional without a value `None`.
        unknown: outputs that could not be computed, and why: the node, its operator, and what went wrong.
    """

    outputs: Mapping[str, Array | list[Array] | None] = field(default_factory=dict)
    unknown: Mapping[str, str] = field(default_factory=dict)


class Graph64:
    """An ONNX graph, prepared to be evaluated in float64 any number of times.

    Args:
        source: the ONNX file, or a model in memory with all its data.
        device: where the floats live, such as ``cpu`` or ``cuda:0``.
        native: the ONNX element type to take for the model's own float type. Casts to a narrower type are
            rounded, others are not. Found by itself when left out.

    Raises:
        Unable: ``onnx``; the file, or its external data, can't be read.
    """

    def __init__(
        self, source: str | Path | ModelProto, device: str = "cpu", native: int | None = None
    ) -> None:
        model, folder = load(source)
        light = without_weights(model)
        types = element_types(light)
        self.native = native_float(model, types) if native is None else native
        self._setting = Setting(torch.device(device), self.native, folder, types)
        self._builder = Builder(light.functions, self._setting)
        opsets = {own_name(entry.domain): entry.version for entry in model.opset_import}
        try:
            constants = self._builder.constants(model.graph)
            self._program = self._builder.body(light.graph, constants, opsets)
        except (OSError, ValueError, TypeError, ValidationError, RecursionError) as error:
            raise Unable("onnx", f"the model can't be prepared: {error}") from error
        self._expanded = Expansions(self._builder)
        functions = b"".join(each.SerializeToString(deterministic=True) for each in light.functions)
        self._salt = f"{self.native} {device} ".encode() + functions

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the graph's inputs that have no initializer."""
        return tuple(name for name in self._program.inputs if name not in self._program.constants)

    @property
    def initializers(self) -> Mapping[str, Value]:
        """The graph's initializers, raised to float64; not to be changed."""
        return self._program.constants

    def run(
        self,
        inputs: Mapping[str, object],
        observe: Observer | None = None,
        memory: Memory[Note] | None = None,
    ) -> Evaluation:
        """Evaluates the graph once.

        Args:
            inputs: arrays, tensors or sequences of them by name; floats of any width are raised.
            observe: called after every node of the file, in the order of evaluation, in subgraphs and
                model-local functions too. Values that it does not keep are freed after their last use.
            memory: of an earlier evaluation, whose values are taken where they are the same, or a new one to
                be filled.

        Raises:
            Unable: ``input``; one is missing, or the graph has no input of that name.
        """
        self._check(inputs)
        device = self._setting.device
        given = {name: hold(value, device) for name, value in inputs.items()}
        with torch.no_grad(), unfilled():
            executor = Executor(device, self._expanded, observe)
            if memory is None:
                results = executor.graph(self._program, given)
            else:
                results = run_recalling(executor, self._program, given, memory, self._salt)
        outputs: dict[str, Array | list[Array] | None] = {}
        unknown: dict[str, str] = {}
        for name, value in zip(self._program.outputs, results, strict=True):
            if reason := first_unknown([value]):
                unknown[name] = reason.reason
            else:
                outputs[name] = _handed_out(value)
        return Evaluation(outputs, unknown)

    def apply(self, node: Node, inputs: Sequence[Value]) -> Sequence[Value]:
        """One node of this graph alone, on other inputs: rounded operands, for one, or absolute values.

        Gives one result for each output of the node, `Unknown` where it can't be evaluated. A subgraph that
        reads the scope around it can't.
        """
        with torch.no_grad():
            return Executor(self._setting.device, self._expanded, None).node(node, tuple(inputs))

    def _check(self, inputs: Mapping[str, object]) -> None:
        if missing := sorted(set(self.inputs) - set(inputs)):
            raise Unable("input", f"the graph needs the inputs {missing}, which were not given")
        if strange := sorted(set(inputs) - set(self._program.inputs)):
            raise Unable("input", f"the graph has no inputs {strange}")


def _handed_out(value: Value) -> Array | list[Array] | None:
    """A value as the caller gets it: NumPy, and its own memory."""
    if isinstance(value, list):
        return [as_array(item).copy() for item in value]
    return None if value is None else as_array(tensor_like(value)).copy()
