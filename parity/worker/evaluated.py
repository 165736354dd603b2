"""One call of a component, with all that was evaluated for its error budget."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from parity.artifacts import Array
from parity.diagnosis.budget import Result, Results
from parity.diagnosis.onnx64 import Memory
from parity.diagnosis.tracing import Sketch, Trace
from parity.records.diagnosis import Diagnosis, Term
from parity.worker.binding import Tensors
from parity.worker.reference_component import ReferenceComponent


@dataclass(frozen=True)
class Evaluated:
    """What the causes are looked for in; anything can run again.

    Args:
        component: ready to run under the numerics of the suite.
        inputs: gives new tensors of the call.
        feeds: gives the call's inputs by the names that a graph declares.
        results: by the ONNX outputs' names, those that are matched in the order of the reference.
        module_trace: None where the module could not be evaluated in float64.
        graph_trace: None where the graph could not.
        graph_order: the module's outputs in float64, those that are matched in the order of the graph's.
        memory: of the graph's evaluation.
        output_names: the ONNX outputs in the order of the module's result; None where an output has no name.
        passed: outputs within their tolerance.
        autocast: whether the module computes anything under autocast, as far as that is known.
    """

    component: ReferenceComponent
    inputs: Callable[[], Tensors]
    feeds: Callable[[tuple[str, ...]], dict[str, Array]]
    results: Mapping[str, Results]
    module_trace: Trace | None
    graph_trace: Trace | None
    graph_order: Mapping[str, Result]
    memory: Memory[Sketch]
    output_names: tuple[str, ...] | None
    passed: frozenset[str] = frozenset()
    autocast: bool = True

    def is_worth_a_look(self, name: str, diagnosis: Diagnosis, term: Term) -> bool:
        """Whether a leg of an output can tell why it differs as it does."""
        return diagnosis.is_worth_a_look(term, passed=name in self.passed)

    def run(self) -> object:
        """What the module gives for the call once more, as the user runs it.

        Raises:
            Unable: it does not run this time.
        """
        tensors = self.inputs()
        return self.component.forward(self.component.bind(tensors), tensors)
