"""What the export leg's diagnosis is given, and how far a graph is from the module."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import inf
from pathlib import Path
from typing import Any

import onnx
import torch
from onnx import ModelProto
from torch import Tensor

from parity.artifacts import Array
from parity.diagnosis.budget import Result, difference
from parity.diagnosis.onnx64 import Evaluation, Graph64, Memory
from parity.diagnosis.onnx64.ordering import order
from parity.diagnosis.tracing import Sketch, Trace, trace_graph

Arguments = tuple[tuple[Any, ...], dict[str, Any]]

NO_TRACE = Trace((), (), {}, {})
"""Of a side that could not be evaluated in float64."""


@dataclass(frozen=True)
class Subject:
    """One call of a component whose ONNX graph computes something else than its module.

    Args:
        module: ready to run, on its device.
        arguments: gives positional and keyword arguments of the call, new tensors each time.
        path: the ONNX file.
        device: where graphs are evaluated.
        feeds: the call's inputs by the graph's names, in its order.
        reference64: the module's outputs in float64 by the ONNX outputs' names, at least those of `errors`.
        errors: outputs whose export error stands out from the noise -> its size; ``inf`` where the two don't
            agree on what is finite.
        module_trace: of the module in float64; `NO_TRACE` where there is none.
        graph_trace: of the graph in float64; `NO_TRACE` where there is none.
        noise: the noise floor of each of these outputs; 0 where it is unknown.
        output_names: ONNX outputs in the order of the module's flattened result; None: the file's order.
        scratch: an existing folder for files that are made on the way.
        unmeasured: outputs that are off and whose export error is unknown, for a side has no float64.
        made_here: whether the gate itself made the file, of this very module.
        memory: of the evaluation that `graph_trace` is of; other graphs take from it what is the same.
    """

    module: torch.nn.Module
    arguments: Callable[[], Arguments]
    path: str
    device: str
    feeds: Mapping[str, Array]
    reference64: Mapping[str, Result]
    errors: Mapping[str, float]
    module_trace: Trace
    graph_trace: Trace
    noise: Mapping[str, float]
    output_names: tuple[str, ...] | None
    scratch: str
    unmeasured: tuple[str, ...] = ()
    made_here: bool = False
    memory: Memory[Sketch] | None = None

    @cached_property
    def model(self) -> ModelProto:
        """The file with all its data, its nodes in order."""
        return order(onnx.load(self.path))

    @property
    def folder(self) -> str:
        """Where external data of the file lies."""
        return str(Path(self.path).parent)

    @cached_property
    def state(self) -> Mapping[str, Tensor]:
        """Parameters and buffers by every name that they have, buffers that no checkpoint holds included."""
        return dict(
            (
                *self.module.named_parameters(remove_duplicate=False),
                *self.module.named_buffers(remove_duplicate=False),
            )
        )

    def evaluate(self, model: ModelProto) -> tuple[dict[str, float], Trace]:
        """Export errors that another graph has on the same inputs, by output, and its trace.

        Raises:
            Unable: it can't be evaluated, or has other inputs.
        """
        graph = Graph64(model, self.device)
        del model  # it holds all weights once more
        feeds = self.feeds
        if set(graph.inputs) != set(feeds) and len(graph.inputs) == len(feeds):
            feeds = dict(zip(graph.inputs, feeds.values(), strict=True))
        evaluation, trace = trace_graph(graph, feeds, self.memory)
        return {name: self._error(evaluation, name) for name in self.errors}, trace

    def _error(self, evaluation: Evaluation, name: str) -> float:
        value = evaluation.outputs.get(name)
        if value is None or isinstance(value, list):
            return inf
        found = difference(self.reference64[name], value)
        return inf if found.reason else found.greatest


def vanished(before: float, after: float) -> float:
    """The share of an error that is gone, 0 to 1. An infinite one is gone when it is finite."""
    if not before > 0.0:
        return 0.0
    if before == inf:
        return 0.0 if after == inf else 1.0
    return max(0.0, 1.0 - after / before)
