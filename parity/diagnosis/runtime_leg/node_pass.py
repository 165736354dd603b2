"""The pass over the graph: float64 for what is right, each node alone in the runtime for what it adds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from onnx import ModelProto
from torch import Tensor

from parity.artifacts import Array
from parity.diagnosis.onnx64 import Graph64
from parity.diagnosis.onnx64.execution import Step
from parity.diagnosis.onnx64.program import Node
from parity.diagnosis.runtime_leg.backend import UNOPTIMIZED, Backend
from parity.diagnosis.runtime_leg.hypotheses import Explanation, explain
from parity.diagnosis.runtime_leg.isolation import CannotIsolate, Isolated, has_float_result, isolate
from parity.diagnosis.runtime_leg.local_errors import PRODUCTS, LocalError, compare
from parity.diagnosis.statistics import statistics
from parity.records.diagnosis import Divergence
from parity.worker.problems import Unable

_MOST_NODES = 2000
_MOST_EXPLAINED = 8  # nodes that hypotheses are tried on; one setting makes all of a kind off at once


@dataclass(frozen=True)
class OffNode:
    """A node that is off on right inputs.

    Args:
        position: of it, or of the node that holds it, among the nodes of the main graph.
        overflow: what happened, where it has a NaN or infinity that the graph in float64 has not.
        explanation: None for the ninth and all after it.
    """

    node: Node
    position: int
    divergence: Divergence
    explanation: Explanation | None
    overflow: str = ""


@dataclass
class NodePass:
    """Observes an evaluation and runs what it sees in the runtime; values are not kept.

    Args:
        chosen: first outputs of the nodes to look at; None for all.
        least_bits: of the sound sums of products, and the node that keeps so few.
    """

    graph: Graph64
    backend: Backend
    chosen: frozenset[str] | None = None
    off: list[OffNode] = field(default_factory=list)
    checked: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    least_bits: tuple[float, str] | None = None
    _reads: list[tuple[set[str], set[str]]] = field(default_factory=list)  # of main nodes: outputs, inputs
    _seen: set[int] = field(default_factory=set)

    def __call__(self, step: Step) -> None:
        """As an observer of `Graph64.run`."""
        if id(step.node) not in self._seen and self._wanted(step):  # a loop's body comes again and again
            self._seen.add(id(step.node))
            self._check(step)
        if not step.node.scope:
            inside = (body.captured for body in step.node.bodies.values())
            self._reads.append((set(step.node.outputs), set(step.node.inputs).union(*inside)))

    def reaching(self, output: str) -> list[OffNode]:
        """The nodes that are off and that an output depends on, in the order of evaluation."""
        needed, positions = {output}, set()
        for position in range(len(self._reads) - 1, -1, -1):
            outputs, inputs = self._reads[position]
            if outputs & needed:
                positions.add(position)
                needed |= inputs
        return [one for one in self.off if one.position in positions]

    def notes(self) -> tuple[str, ...]:
        """What was not looked at."""
        reasons = [
            f"nodes that were not run alone, {count}: {reason}" for reason, count in self.skipped.items()
        ]
        if self.chosen is not None:
            reasons.append(
                f"of this large graph, {self.checked} nodes were run alone: sums of products and the nodes "
                "around them first"
            )
        return tuple(reasons)

    def _wanted(self, step: Step) -> bool:
        if step.node.function is not None or step.node.bodies or not has_float_result(step):
            return False
        return self.chosen is None or bool(self.chosen & set(step.node.outputs))

    def _check(self, step: Step) -> None:
        try:
            isolated = isolate(step)
            results = self.backend.open(isolated.model, UNOPTIMIZED)(isolated.feeds)
        except CannotIsolate as error:
            self.skipped[str(error)] += 1
            return
        except Unable as error:
            self.skipped[f"{step.node.label}: {error.problem}"] += 1
            return
        local = compare(self.graph, step, isolated.operands, results)
        if local is None:
            self.skipped[f"{step.node.label} gives nothing that can be compared"] += 1
            return
        self.checked += 1
        if local.verdict != "sound":
            self.off.append(self._off(step, isolated, local, results))
        elif local.bits is not None and (self.least_bits is None or local.bits < self.least_bits[0]):
            self.least_bits = (local.bits, step.node.label)

    def _off(
        self, step: Step, isolated: Isolated, local: LocalError, results: Mapping[str, Array]
    ) -> OffNode:
        explanation, overflow = None, ""
        if local.verdict == "nonfinite":
            overflow = _what_happened(step, local, results[local.output].dtype)
        elif sum(one.explanation is not None for one in self.off) < _MOST_EXPLAINED:
            explanation = explain(self.graph, self.backend, isolated, local, results)
        return OffNode(step.node, len(self._reads), _divergence(local), explanation, overflow)


def choose(model: ModelProto) -> frozenset[str] | None:
    """Of a graph too large to run node by node: sums of products, then what is around them, then the rest.

    Gives the first outputs of the chosen nodes; None where all can be looked at.
    """
    nodes = model.graph.node
    if len(nodes) <= _MOST_NODES:
        return None
    products = [node for node in nodes if node.op_type in PRODUCTS]
    reads = {name for node in products for name in node.input}
    gives = {name for node in products for name in node.output}
    near = [node for node in nodes if reads & set(node.output) or gives & set(node.input)]
    order: Iterable[str] = dict.fromkeys(
        node.output[0] for node in (*products, *near, *nodes) if node.output and node.output[0]
    )
    return frozenset(list(order)[:_MOST_NODES])


def place(node: Node) -> str:
    """A node by its name, or its first output if it has none; after the calls and loops around it."""
    name = node.proto.name or next((output for output in node.outputs if output), "")
    return "/".join((*node.scope, name))


def _divergence(local: LocalError) -> Divergence:
    return Divergence(
        leg="runtime",
        node=place(local.node),
        op_type=local.node.proto.op_type,
        output=local.output,
        shape=tuple(local.exact.shape),
        local_error=local.error,
        expected=statistics(local.exact),
        found=statistics(local.found),
        effective_bits=local.bits,
    )


def _what_happened(step: Step, local: LocalError, dtype: np.dtype[np.generic]) -> str:
    """Overflow, or a NaN out of nothing, with the inputs it came from."""
    whole = step.outputs[local.output]
    assert isinstance(whole, Tensor)
    limit = torch.finfo(getattr(torch, dtype.name)).max
    reached = float(whole[whole.isfinite()].abs().max())
    inputs = _reach(step.node.inputs, step.inputs)
    if reached > limit:
        return f"the exact result reaches {reached:.3g}, {dtype.name} ends at {limit:.4g}; {inputs}"
    kind = "NaN" if bool(local.found.isnan().any()) else "infinite"
    return f"it gives {kind} where the exact result is at most {reached:.3g}; {inputs}"


def _reach(names: Sequence[str], values: Sequence[object]) -> str:
    parts = [
        f"input {name!r} reaches {float(value.abs().max()):.3g}"
        for name, value in zip(names, values, strict=True)
        if isinstance(value, Tensor) and value.is_floating_point() and value.numel()
    ]
    return ", ".join(parts)
