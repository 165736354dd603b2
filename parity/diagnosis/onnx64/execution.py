"""Walks prepared graphs. What can't be evaluated is unknown, with the reason; so is what depends on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeGuard

import torch

from parity.diagnosis.onnx64 import operators
from parity.diagnosis.onnx64.expansion import Expansions
from parity.diagnosis.onnx64.fallback import run_reference
from parity.diagnosis.onnx64.operators.quantization import NotOnThisGrid
from parity.diagnosis.onnx64.program import Node, Program
from parity.diagnosis.onnx64.values import CannotEvaluate, Unknown, Value, first_unknown


@dataclass(frozen=True, slots=True)
class Step:
    """One node that has just been evaluated, as an observer sees it.

    Args:
        node: `node.proto` is the node in the file, `node.scope` the calls and control flow around it.
        inputs: its inputs in order, raised to float64; `None` where one is omitted.
        outputs: its results by name. A loop's body gives the same names again in each iteration. An observer
            may replace a result: what comes after computes with that.
        keys: of values in the main graph by name, where the evaluation recalls those of another one. Then
            inputs and outputs that nothing needs any more may be missing.
    """

    node: Node
    inputs: tuple[Value, ...]
    outputs: dict[str, Value]
    keys: Mapping[str, bytes] = field(default_factory=dict)


Observer = Callable[[Step], None]


class Scope:
    """Names that a node can read: its own graph's, then those around it."""

    def __init__(self, program: Program, values: dict[str, Value], around: Scope | None = None) -> None:
        self.values = values
        self._constants = program.constants
        self._around = around

    def read(self, name: str) -> Value:
        if not name:
            return None
        if name in self.values:
            return self.values[name]
        if name in self._constants:
            return self._constants[name]
        return self._around.read(name) if self._around else Unknown(f"nothing in the graph defines {name!r}")

    def forget(self, node: Node) -> None:
        """Frees what nothing reads after this node."""
        for name in node.dying:
            self.values.pop(name, None)


class Executor:
    """One evaluation: walks programs, dispatches nodes, frees values, tells the observer."""

    def __init__(self, device: torch.device, expansions: Expansions, observe: Observer | None) -> None:
        self._device = device
        self._expansions = expansions
        self._observe = observe

    def graph(self, program: Program, values: dict[str, Value], around: Scope | None = None) -> list[Value]:
        """Runs a body over named values, which it frees as it goes."""
        scope = Scope(program, values, around)
        for node in program.nodes:
            self.advance(scope, node)
            scope.forget(node)
        return [scope.read(name) for name in program.outputs]

    def advance(self, scope: Scope, node: Node, keys: Mapping[str, bytes] | None = None) -> None:
        """Runs the next node of a body; `keys` are handed to the observer."""
        results = self.node(node, tuple(scope.read(name) for name in node.inputs), scope)
        outputs = {name: value for name, value in zip(node.outputs, results, strict=False) if name}
        self.tell(scope, node, outputs, keys)

    def tell(
        self, scope: Scope, node: Node, outputs: dict[str, Value], keys: Mapping[str, bytes] | None = None
    ) -> None:
        """Shows the observer a node with its results, and goes on with these."""
        if self._observe is not None:
            inputs = tuple(scope.read(name) for name in node.inputs)
            self._observe(Step(node, inputs, outputs, keys or {}))
        scope.values.update(outputs)

    def _call(self, program: Program, inputs: Sequence[Value], around: Scope | None = None) -> list[Value]:
        # A caller may leave out inputs at the end of the list.
        values = dict.fromkeys(program.inputs) | dict(zip(program.inputs, inputs, strict=False))
        return self.graph(program, values, around)

    def node(self, node: Node, inputs: tuple[Value, ...], around: Scope | None = None) -> Sequence[Value]:
        """One result for each output; unknown where the node, or what it depends on, can't be evaluated."""
        try:
            if node.function is not None:
                results: Sequence[Value] = self._call(node.function, inputs)
            elif node.op in operators.CONTROL:
                results = operators.CONTROL[node.op](
                    node, inputs, lambda body, values: self._call(body, values, around)
                )
            elif unknown := first_unknown(inputs):
                return [unknown] * len(node.outputs)
            else:
                results = self._computed(node, inputs)
        except Exception as error:  # noqa: BLE001 - whatever an operator raises leaves its results unknown
            return [Unknown(f"{node.label} can't be evaluated: {_why(error)}")] * len(node.outputs)
        if any(name and index >= len(results) for index, name in enumerate(node.outputs)):
            missing = f"{node.label} gave {len(results)} results for {len(node.outputs)} outputs"
            return [*results, *[Unknown(missing)] * (len(node.outputs) - len(results))]
        return results

    def _computed(self, node: Node, inputs: tuple[Value, ...]) -> Sequence[Value]:
        if node.op in operators.ANY:
            return _tuple(operators.ANY[node.op](node, *inputs))
        if node.op in operators.TENSOR and all(
            value is None or isinstance(value, torch.Tensor) for value in inputs
        ):
            try:
                return _tuple(operators.TENSOR[node.op](node, *self._together(inputs)))
            except NotOnThisGrid:
                pass
        body = self._expansions.of(node, inputs)
        if body is not None:
            # No part of the file: the observer sees the node as one.
            return Executor(self._device, self._expansions, None)._call(body, inputs)
        return run_reference(node.proto, node.version, inputs, self._device)

    def _together(self, inputs: tuple[Value, ...]) -> tuple[Value, ...]:
        """The tensors on one device, which is the CPU only if all of them are there."""
        device = self._device
        if device.type == "cpu" or all(value.device.type == "cpu" for value in inputs if _is_tensor(value)):
            return inputs
        return tuple(value.to(device) if _is_tensor(value) else value for value in inputs)


def _is_tensor(value: Value) -> TypeGuard[torch.Tensor]:
    return isinstance(value, torch.Tensor)


def _tuple(result: object) -> tuple[Value, ...]:
    return result if isinstance(result, tuple) else (result,)


def _why(error: Exception) -> str:
    if isinstance(error, CannotEvaluate):
        return str(error)
    message = " ".join(str(error).split())
    return f"{type(error).__name__}: {message[:300]}" if message else type(error).__name__
