"""From a budget to a place and a cause: asks those legs that stand out and that this process can look into.

The runtime leg is the candidate's to look into: its process has the session.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf
from tempfile import TemporaryDirectory

import onnx
from msgspec.structs import replace
from torch import Tensor

from parity.artifacts import Array
from parity.diagnosis.budget import Results, difference
from parity.diagnosis.export_leg import ExportFinding, Subject, diagnose_export
from parity.diagnosis.reference_leg.finding import ReferenceFinding, diagnose_reference
from parity.diagnosis.reference_leg.inputs import diagnose_inputs
from parity.diagnosis.reference_leg.random_nodes import active_nodes
from parity.diagnosis.reference_leg.repeatability import diagnose_repeatability
from parity.diagnosis.tracing import Trace
from parity.records.diagnosis import Cause, Diagnosis, Divergence, ModuleErrors
from parity.worker.binding import Tensors
from parity.worker.evaluations import attempt
from parity.worker.reference_component import ReferenceComponent

_Diagnoses = dict[str, Diagnosis]

_A_GOOD_PART = 0.5  # of the total: what two runs of a side differ by


@dataclass(frozen=True)
class Evaluated:
    """One call of a component and all that was evaluated for its budget.

    Args:
        component: ready to run under the numerics of the suite.
        inputs: gives new tensors of the call.
        feeds: gives the call's inputs by the names that a graph declares.
        results: by the ONNX outputs' names.
        module_trace: None where the module could not be evaluated in float64.
        graph_trace: None where the graph could not.
        output_names: the ONNX outputs in the order of the module's result; None where an output has no name.
    """

    component: ReferenceComponent
    inputs: Callable[[], Tensors]
    feeds: Callable[[tuple[str, ...]], dict[str, Array]]
    results: Mapping[str, Results]
    module_trace: Trace | None
    graph_trace: Trace | None
    output_names: tuple[str, ...] | None


def explain(evaluated: Evaluated, diagnoses: _Diagnoses) -> tuple[_Diagnoses, tuple[ModuleErrors, ...]]:
    """The diagnoses with places and causes, and the errors of the modules if the export leg was followed."""
    export = _look_into_export(evaluated, diagnoses)
    reference = _look_into_reference(evaluated, diagnoses)
    repeated = _look_into_repeatability(evaluated, diagnoses)
    inputs = diagnose_inputs(evaluated.inputs()) if _has_nonfinite(evaluated) else ()
    explained: _Diagnoses = {}
    for name, diagnosis in diagnoses.items():
        places: dict[str, Divergence] = {}
        if name in export.divergences:
            places["export"] = export.divergences[name]
        causes = [*inputs, *export.causes.get(name, ())]
        notes = [*export.notes] if diagnosis.is_worth_a_look("export") else []
        if reference is not None and diagnosis.is_worth_a_look("reference"):
            if reference.first_divergence is not None:
                places["reference"] = reference.first_divergence
            causes += reference.causes
            notes += reference.notes
        if _unrepeatable(diagnosis):
            causes += repeated
        explained[name] = replace(
            diagnosis,
            first_divergence=_first(diagnosis, places),
            causes=diagnosis.ranked(causes),
            notes=tuple(dict.fromkeys(notes)),
        )
    return explained, export.modules


def _first(diagnosis: Diagnosis, places: Mapping[str, Divergence]) -> Divergence | None:
    """The place in the dominant leg; without one, any that was found."""
    if diagnosis.dominant_leg is not None:
        return places.get(diagnosis.dominant_leg)
    return next(iter(places.values()), None)


def _look_into_export(evaluated: Evaluated, diagnoses: _Diagnoses) -> ExportFinding:
    """Of the outputs whose export error stands out; nothing where one of the two could not be traced."""
    component = evaluated.component
    errors = {
        name: error
        for name, diagnosis in diagnoses.items()
        if (error := _export_error(evaluated.results[name], diagnosis)) > 0.0
    }
    if not errors or evaluated.module_trace is None or evaluated.graph_trace is None:
        return ExportFinding()
    with TemporaryDirectory(prefix="parity-") as scratch:
        subject = Subject(
            module=component.module,
            arguments=lambda: _arguments(evaluated),
            path=component.job.onnx,
            device=str(component.device),
            feeds=evaluated.feeds(tuple(evaluated.graph_trace.inputs)),
            reference64={name: evaluated.results[name].reference64 for name in errors},
            errors=errors,
            noise={name: diagnoses[name].budget.noise or 0.0 for name in errors},
            module_trace=evaluated.module_trace,
            graph_trace=evaluated.graph_trace,
            output_names=evaluated.output_names,
            scratch=scratch,
        )
        found = attempt(lambda: diagnose_export(subject), "exported again", component.whose, component.device)
    return ExportFinding(notes=(found,)) if isinstance(found, str) else found


def _export_error(results: Results, diagnosis: Diagnosis) -> float:
    """The export error where it is worth a look; ``inf`` where shapes differ, or what is finite."""
    if isinstance(results.reference64, str) or isinstance(results.candidate64, str):
        return 0.0
    if difference(results.reference64, results.candidate64).disagreeing:
        return inf
    error = diagnosis.budget.export_error
    return error if error is not None and diagnosis.is_worth_a_look("export") else 0.0


def _arguments(evaluated: Evaluated) -> tuple[tuple[Tensor, ...], dict[str, Tensor]]:
    tensors = evaluated.inputs()
    return evaluated.component.bind(tensors).arguments(tensors)


def _look_into_reference(evaluated: Evaluated, diagnoses: _Diagnoses) -> ReferenceFinding | None:
    if not any(diagnosis.is_worth_a_look("reference") for diagnosis in diagnoses.values()):
        return None
    component = evaluated.component
    tensors = evaluated.inputs()
    binding = component.bind(tensors)
    found = attempt(
        lambda: diagnose_reference(lambda: component.forward(binding, tensors), component.module),
        "followed operator by operator",
        component.whose,
        component.device,
    )
    return ReferenceFinding(None, (), (found,)) if isinstance(found, str) else found


def _look_into_repeatability(evaluated: Evaluated, diagnoses: _Diagnoses) -> tuple[Cause, ...]:
    if not any(_unrepeatable(diagnosis) for diagnosis in diagnoses.values()):
        return ()
    component = evaluated.component

    def run() -> object:
        tensors = evaluated.inputs()
        return component.forward(component.bind(tensors), tensors)

    def look() -> tuple[Cause, ...]:
        model = onnx.load(component.job.onnx, load_external_data=False)
        drawn = tuple(node.cause for node in active_nodes(model))
        return (*diagnose_repeatability(run, component.module).causes, *drawn)

    found = attempt(look, "run again", component.whose, component.device)
    return () if isinstance(found, str) else found


def _unrepeatable(diagnosis: Diagnosis) -> bool:
    budget = diagnosis.budget
    if diagnosis.dominant_leg == "repeatability":
        return True
    return bool(budget.repeatability and budget.total and budget.repeatability > _A_GOOD_PART * budget.total)


def _has_nonfinite(evaluated: Evaluated) -> bool:
    floats = (tensor for tensor in evaluated.inputs().values() if tensor.is_floating_point())
    return any(not bool(tensor.isfinite().all()) for tensor in floats)
