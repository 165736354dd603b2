"""The diagnosis of one call where the reference is an ONNX file as well: both graphs in float64.

The legs keep their names. What is "reference rounding" with PyTorch is here the reference's own runtime
error, and the export error is what the two graphs mean differently.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from functools import cached_property
from math import inf

import onnx
from msgspec.structs import replace

from parity.artifacts import read_tensor
from parity.diagnosis.budget import Result, Results, diagnose, difference
from parity.diagnosis.export_leg import NO_MODULE, ExportFinding, Subject, diagnose_against_graph
from parity.diagnosis.onnx64 import Graph64
from parity.diagnosis.onnx64.ordering import order
from parity.diagnosis.tracing import Trace, trace_graph
from parity.records.diagnosis import Cause, Diagnosis, Divergence
from parity.records.outcomes import Diagnosed, RuntimeFinding
from parity.records.requests import Diagnose, DiagnoseRuntime
from parity.worker.candidate_diagnosis import OrtBackend, diagnose_call, workspace
from parity.worker.evaluations import safely
from parity.worker.modules import release
from parity.worker.onnx_pair import Feeds, GraphPair, attempted, by_file, named, outputs_of

_Diagnoses = dict[str, Diagnosis]

NOTE = (
    "both sides are ONNX files: reference rounding is the reference's own runtime error, "
    "and the export error is what the two graphs mean differently"
)


def diagnose_pair(request: Diagnose, pair: GraphPair, feeds: Feeds) -> Diagnosed:
    """The budget of each output, and what this process can say about its legs."""
    return _PairDiagnosis(request, pair, feeds).run()


class _PairDiagnosis:
    def __init__(self, request: Diagnose, pair: GraphPair, feeds: Feeds) -> None:
        self._request, self._pair, self._feeds = request, pair, feeds
        self._traces: dict[str, Trace] = {}

    def run(self) -> Diagnosed:
        start = time.perf_counter()
        results = self._results()
        budgets = {name: diagnose(each) for name, each in results.items()}
        of_graphs = safely(lambda: self._with_graphs(results, budgets), lambda why: _noted(budgets, why))
        diagnoses = safely(lambda: self._with_reference(of_graphs), lambda why: _noted(of_graphs, why))
        release()
        return Diagnosed(
            diagnoses={name: replace(each, notes=(NOTE, *each.notes)) for name, each in diagnoses.items()},
            seconds=time.perf_counter() - start,
        )

    @cached_property
    def _names(self) -> dict[str, str]:
        """Output of the candidate -> output of the reference."""
        pairs = zip(self._request.outputs, self._request.reference, strict=True)
        return {name: record.name for name, record in pairs}

    def _results(self) -> dict[str, Results]:
        pair, request = self._pair, self._request
        again = attempted(lambda: pair.run(self._feeds))
        strict = attempted(lambda: pair.run_strictly(self._feeds))
        reference64 = attempted(lambda: self._exact(pair.reference))
        candidate64 = attempted(lambda: self._exact(pair.candidate))
        repeated = request.repeated
        return {
            name: Results(
                reference=read_tensor(reference),
                candidate=read_tensor(candidate),
                reference64=named(reference64, self._names[name]),
                candidate64=named(candidate64, name),
                reference_again=named(again, self._names[name]),
                candidate_again=repeated if isinstance(repeated, str) else read_tensor(repeated[place]),
                strict=None if strict is None else named(strict, self._names[name]),
            )
            for place, (name, reference, candidate) in enumerate(
                zip(request.outputs, request.reference, request.candidate, strict=True)
            )
        }

    def _exact(self, path: str) -> dict[str, Result]:
        graph = Graph64(path, self._pair.device)
        evaluation, self._traces[path] = trace_graph(graph, by_file(path, self._feeds))
        return outputs_of(evaluation)

    def _with_graphs(self, results: Mapping[str, Results], diagnoses: _Diagnoses) -> _Diagnoses:
        """With the place and causes of what the two graphs mean differently."""
        due = {
            name: each
            for name, each in diagnoses.items()
            if each.is_worth_a_look("export") or _size(results[name], each) == inf
        }
        graph, right = self._traces.get(self._pair.candidate), self._traces.get(self._pair.reference)
        if not due or graph is None or right is None:
            return diagnoses
        pair = self._pair
        with workspace() as scratch:
            subject = Subject(
                module=NO_MODULE,
                arguments=lambda: ((), {}),
                path=pair.candidate,
                device=pair.device,
                feeds=by_file(pair.candidate, self._feeds),
                reference64={name: results[name].reference64 for name in due},
                errors={name: _size(results[name], each) for name, each in due.items()},
                module_trace=_renamed(right, self._names),
                graph_trace=graph,
                noise={name: each.budget.noise or 0.0 for name, each in due.items()},
                output_names=None,
                scratch=scratch,
            )
            found = attempted(lambda: diagnose_against_graph(subject, order(onnx.load(pair.reference))))
        if isinstance(found, str):
            found = ExportFinding(notes=(found,))
        added = {
            name: _added(each, found.divergences.get(name), found.causes.get(name, ()), found.notes)
            for name, each in due.items()
        }
        return {**diagnoses, **added}

    def _with_reference(self, diagnoses: _Diagnoses) -> _Diagnoses:
        """With what the reference's own session adds to its graph, where that is worth a look."""
        due = [name for name, each in diagnoses.items() if each.is_worth_a_look("reference")]
        if not due:
            return diagnoses
        records = dict(zip(self._request.outputs, self._request.reference, strict=True))
        asked = DiagnoseRuntime(
            component=self._request.component,
            call=self._request.call,
            outputs=tuple(records[name].name for name in due),
            candidate=tuple(records[name] for name in due),
        )
        pair = self._pair

        def look() -> Mapping[str, RuntimeFinding]:
            with workspace() as folder:
                backend = OrtBackend(pair.device, pair.numerics, pair.options, folder)
                return diagnose_call(asked, pair.reference, self._feeds, backend).findings

        found = attempted(look)
        changed = dict(diagnoses)
        for name in due:
            if isinstance(found, str):
                changed[name] = _added(diagnoses[name], None, (), (f"looking into the reference: {found}",))
                continue
            finding = found.get(records[name].name, RuntimeFinding())
            first = finding.first_divergence
            causes = tuple(_of_reference(cause) for cause in finding.causes)
            place = None if first is None else replace(first, leg="reference")
            changed[name] = _added(diagnoses[name], place, causes, finding.notes)
        return changed


def _noted(diagnoses: _Diagnoses, note: str) -> _Diagnoses:
    return {name: replace(each, notes=(*each.notes, note)) for name, each in diagnoses.items()}


def _size(results: Results, diagnosis: Diagnosis) -> float:
    """The export error; ``inf`` where shapes differ, or what is finite."""
    if difference(results.reference64, results.candidate64).disagreeing:
        return inf
    return diagnosis.budget.export_error or 0.0


def _renamed(trace: Trace, names: Mapping[str, str]) -> Trace:
    """With the candidate's names for the reference's outputs."""
    outputs = {name: trace.outputs[own] for name, own in names.items() if own in trace.outputs}
    return dataclasses.replace(trace, outputs=outputs)


def _of_reference(cause: Cause) -> Cause:
    return replace(cause, leg="reference", message=f"in the reference: {cause.message}")


def _added(
    diagnosis: Diagnosis, first: Divergence | None, causes: tuple[Cause, ...], notes: tuple[str, ...]
) -> Diagnosis:
    """With a place where it is in the dominant leg, or there is none and no place yet."""
    takes = first is not None and (
        diagnosis.dominant_leg == first.leg
        or (diagnosis.dominant_leg is None and diagnosis.first_divergence is None)
    )
    return replace(
        diagnosis,
        first_divergence=first if takes else diagnosis.first_divergence,
        causes=diagnosis.ranked((*diagnosis.causes, *causes)),
        notes=tuple(dict.fromkeys((*diagnosis.notes, *notes))),
    )
