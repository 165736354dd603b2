"""The diagnosis of one component call: everything runs again here, and in float64, on its recorded inputs.

What can't be had is a reason in the budget, whatever the user's code or the ONNX file did.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import torch
from torch import nn

from parity.artifacts import Array, read_tensor
from parity.diagnosis import onnx64, torch64
from parity.diagnosis.aligning import aligned, graph_order
from parity.diagnosis.budget import Result, Results, diagnose
from parity.diagnosis.tracing import Sketch, Trace, trace_graph, trace_module
from parity.records.outcomes import Diagnosed
from parity.records.requests import Diagnose
from parity.records.tensors import TensorRecord
from parity.worker import numerics
from parity.worker.binding import Tensors
from parity.worker.casting import cast_feeds
from parity.worker.evaluated import Evaluated
from parity.worker.evaluations import attempt
from parity.worker.flattening import Leaf
from parity.worker.modules import release
from parity.worker.reference_causes import explain
from parity.worker.reference_component import ReferenceComponent
from parity.worker.tensors import to_numpy

_ByOutput = dict[str, Result]
_Read = Callable[[tuple[TensorRecord, ...]], Tensors]


class CallDiagnosis:
    """All that is evaluated for one call, one thing after the other; of what is inside, sketches are kept.

    Args:
        component: whose call it was, ready to run under the numerics of the suite.
        request: the call, and what both sides made of it.
        read: gives new tensors on the component's device, which a forward may write to.
        by_onnx_name: whether the reference's records have ONNX names; else paths in the PyTorch result.
    """

    def __init__(
        self, component: ReferenceComponent, request: Diagnose, read: _Read, *, by_onnx_name: bool
    ) -> None:
        self._component, self._request = component, request
        self._read, self._by_onnx_name = read, by_onnx_name
        self._device = str(component.device)
        self._wanted = {
            name: record.name for name, record in zip(request.outputs, request.reference, strict=True)
        }
        self._paths: dict[str, str] = (
            {} if by_onnx_name else self._wanted
        )  # ONNX output -> path in the result
        self._result_paths: tuple[str, ...] = ()  # of the module, in its order
        self._module_trace: Trace | None = None
        self._graph_trace: Trace | None = None
        self._memory: onnx64.Memory[Sketch] = onnx64.Memory()
        self._autocast = True  # until it is known that there is none

    def run(self) -> Diagnosed:
        """The diagnosis of each output, and what the candidate's findings are completed with."""
        start = time.perf_counter()
        computed = self._results()
        results = aligned(computed, self._request.matching)
        evaluated = Evaluated(
            component=self._component,
            inputs=self._inputs,
            feeds=self._feeds,
            results=results,
            module_trace=self._module_trace,
            graph_trace=self._graph_trace,
            memory=self._memory,
            output_names=self._output_names(),
            graph_order=graph_order(computed, self._request.matching),
            passed=frozenset(self._request.passed),
            autocast=self._autocast,
        )
        explained = explain(evaluated, {name: diagnose(each) for name, each in results.items()})
        return Diagnosed(
            diagnoses=explained.diagnoses,
            seconds=time.perf_counter() - start,
            modules=explained.modules,
            places=dict(explained.places),
            odd_inputs=explained.odd_inputs,
        )

    def _results(self) -> dict[str, Results]:
        """Every evaluation, one after the other; traces are kept beside them."""
        again = self._evaluate("run again", self._reference)
        with numerics.strict() as others_in_force:
            differs = others_in_force or self._component.variant is not None
            strict = self._evaluate("run under strict numerics", self._plain) if differs else None
        reference64 = self._evaluate("evaluated in float64", self._reference64)
        candidate64 = self._evaluate("evaluated in float64", self._candidate64)
        release()
        repeated = self._repeated()
        return {
            name: Results(
                reference=read_tensor(reference),
                candidate=read_tensor(candidate),
                reference64=reference64[name],
                candidate64=candidate64[name],
                reference_again=again[name],
                candidate_again=repeated[name],
                strict=strict[name] if strict else None,
            )
            for name, reference, candidate in zip(
                self._request.outputs, self._request.reference, self._request.candidate, strict=True
            )
        }

    def _output_names(self) -> tuple[str, ...] | None:
        """In the order of the module's result, as an exporter sees it."""
        names = {path: name for name, path in self._paths.items()}
        if not self._result_paths or not set(self._result_paths) <= names.keys():
            return None
        return tuple(names[path] for path in self._result_paths)

    def _evaluate(self, done: str, evaluation: Callable[[], _ByOutput]) -> _ByOutput:
        """What an evaluation gives; one reason for all outputs where it does not end."""
        found = attempt(evaluation, done, self._component.whose, self._component.device)
        return dict.fromkeys(self._wanted, found) if isinstance(found, str) else found

    def _plain(self) -> _ByOutput:
        return self._reference(self._component.plain)

    def _reference(self, component: ReferenceComponent | None = None) -> _ByOutput:
        component, tensors = component or self._component, self._inputs()
        leaves = component.run(component.bind(tensors), tensors)
        self._result_paths = tuple(leaves)
        if self._by_onnx_name:
            named = self._component.by_onnx_name(dict(leaves))
            path_of = {id(leaf): path for path, leaf in leaves.items()}
            self._paths = {name: path_of[id(leaf)] for name, leaf in named.items()}
        return self._arrays(leaves)

    def _reference64(self) -> _ByOutput:
        tensors = self._inputs()
        args, kwargs = self._component.bind(tensors).arguments(tensors)
        module = self._component.module
        result, self._module_trace = trace_module(module, args, kwargs, tensors, self._paths)
        self._autocast = result.autocast
        if _has_fused_layers(module):  # an observer sees them on another path than the user's
            tensors = self._inputs()
            args, kwargs = self._component.bind(tensors).arguments(tensors)
            result = torch64.evaluate64(module, args, kwargs)
        if result.random_ops:
            drawn = f"{', '.join(result.random_ops)} draws random numbers"
            return dict.fromkeys(self._wanted, drawn)
        return self._arrays(result.outputs)

    def _candidate64(self) -> _ByOutput:
        graph = onnx64.Graph64(self._component.job.onnx, self._device)
        evaluation, self._graph_trace = trace_graph(graph, self._feeds(graph.inputs), self._memory)
        return {name: _array_of(evaluation, name) for name in self._wanted}

    def _repeated(self) -> _ByOutput:
        repeated = self._request.repeated
        if isinstance(repeated, str):
            return dict.fromkeys(self._wanted, repeated)
        return {
            name: read_tensor(record) for name, record in zip(self._request.outputs, repeated, strict=True)
        }

    def _inputs(self) -> Tensors:
        return self._read(self._request.call.inputs)

    def _feeds(self, declared: tuple[str, ...]) -> dict[str, Array]:
        """The inputs by the graph's names: by name where these are the same, else by order, as a session."""
        records = {record.name: record for record in self._request.call.inputs}
        if not set(declared) <= set(records) and len(declared) == len(records):
            records = dict(zip(declared, records.values(), strict=True))
        feeds = {name: read_tensor(record) for name, record in records.items()}
        inputs, _ = self._component.signature or ((), ())
        return cast_feeds(feeds, inputs)

    def _arrays(self, leaves: Mapping[str, Leaf]) -> _ByOutput:
        named = self._component.by_onnx_name(dict(leaves)) if self._by_onnx_name else leaves
        missing = "the result has no {!r} when it is computed once more"
        return {
            name: _array(named[path], name) if path in named else missing.format(path)
            for name, path in self._wanted.items()
        }


def _has_fused_layers(module: nn.Module) -> bool:
    fused = (nn.TransformerEncoder, nn.TransformerEncoderLayer, nn.MultiheadAttention)
    return any(isinstance(each, fused) for each in module.modules())


def _array(leaf: Leaf, name: str) -> Array:
    """Memory of its own: a module may hand out a buffer that its next run writes to."""
    return to_numpy(leaf, name).copy() if isinstance(leaf, torch.Tensor) else leaf.copy()


def _array_of(evaluation: onnx64.Evaluation, name: str) -> Result:
    if name in evaluation.unknown:
        return evaluation.unknown[name]
    value = evaluation.outputs.get(name)
    if value is None or isinstance(value, list):
        return f"the graph has no tensor {name!r} in float64"
    return value
