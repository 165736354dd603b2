"""From a budget to a place and a cause: asks those legs that stand out and that this process can look into.

The runtime leg is the candidate's to look into: its process has the session.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from tempfile import TemporaryDirectory

from msgspec.structs import replace
from torch import Tensor

from parity.diagnosis.budget import Results, difference
from parity.diagnosis.export_leg import NO_TRACE, ExportFinding, Subject, diagnose_export
from parity.records.diagnosis import Cause, Diagnosis, ModuleErrors
from parity.worker.evaluated import Evaluated
from parity.worker.evaluations import attempt, safely
from parity.worker.reference_looks import (
    Found,
    Places,
    is_unrepeatable,
    look_at_inputs,
    look_for_random_nodes,
    look_into_reference,
    look_into_repeatability,
    look_up_places,
)

_Diagnoses = dict[str, Diagnosis]


@dataclass(frozen=True)
class Explained:
    """What this process can say about one call.

    Args:
        diagnoses: by the ONNX outputs' names, with places, causes and notes.
        modules: errors of the component's modules; empty unless the export leg was followed.
        places: of ONNX nodes, for what the candidate's process finds; empty where it will not be asked.
        odd_inputs: causes that count only where there are no others.
    """

    diagnoses: _Diagnoses
    modules: tuple[ModuleErrors, ...]
    places: Places = field(default_factory=dict)
    odd_inputs: tuple[Cause, ...] = ()


def explain(evaluated: Evaluated, diagnoses: _Diagnoses) -> Explained:
    """Looks into every leg that is worth it; whatever goes wrong there is a note, and the budgets stand."""

    def failed(why: str) -> dict[str, Found]:
        return dict.fromkeys(diagnoses, Found(notes=(why,)))

    export = safely(lambda: _look_into_export(evaluated, diagnoses), lambda why: ExportFinding(notes=(why,)))
    evaluated.memory.clear()
    places = safely(lambda: _places(evaluated, diagnoses), lambda _: {})
    inputs, odd = safely(lambda: look_at_inputs(evaluated), lambda why: (failed(why), ()))
    legs = (
        inputs,
        _by_output(evaluated, diagnoses, export),
        safely(lambda: look_into_reference(evaluated, diagnoses), failed),
        safely(lambda: look_into_repeatability(evaluated, diagnoses), failed),
        safely(lambda: look_for_random_nodes(evaluated, places), failed),
    )
    explained = {
        name: _explained(diagnosis, [leg[name] for leg in legs if name in leg])
        for name, diagnosis in diagnoses.items()
    }
    return Explained(explained, export.modules, places, odd)


def _explained(diagnosis: Diagnosis, found: list[Found]) -> Diagnosis:
    """With the place in the dominant leg, or without one any that was found; and all causes and notes."""
    firsts = [each.first for each in found if each.first is not None]
    if diagnosis.dominant_leg is not None:
        firsts = [first for first in firsts if first.leg == diagnosis.dominant_leg]
    return replace(
        diagnosis,
        first_divergence=firsts[0] if firsts else None,
        causes=diagnosis.ranked(cause for each in found for cause in each.causes),
        notes=tuple(dict.fromkeys(note for each in found for note in each.notes)),
    )


def _places(evaluated: Evaluated, diagnoses: _Diagnoses) -> Places:
    """Where something may ask for them: the runtime's findings, random nodes."""
    asked = (
        evaluated.is_worth_a_look(name, diagnosis, "runtime")
        or diagnosis.budget.runtime_error is None
        or is_unrepeatable(diagnosis)
        for name, diagnosis in diagnoses.items()
    )
    return look_up_places(evaluated) if any(asked) else {}


def _by_output(evaluated: Evaluated, diagnoses: _Diagnoses, export: ExportFinding) -> dict[str, Found]:
    """Notes go with the outputs that were looked into."""
    return {
        name: Found(export.divergences.get(name), export.causes.get(name, ()), export.notes)
        for name, results in evaluated.results.items()
        if _has_no_float64(results) or _export_error(evaluated, name, diagnoses[name]) > 0.0
    }


def _look_into_export(evaluated: Evaluated, diagnoses: _Diagnoses) -> ExportFinding:
    """Of the outputs whose export error stands out, or can't be known while nothing else does."""
    component = evaluated.component
    errors = {
        name: error
        for name, diagnosis in diagnoses.items()
        if (error := _export_error(evaluated, name, diagnosis)) > 0.0
    }
    unmeasured = tuple(
        name
        for name, diagnosis in diagnoses.items()
        if diagnosis.dominant_leg is None and _has_no_float64(evaluated.results[name])
    )
    if not errors and not unmeasured:
        return ExportFinding()
    graph_trace = evaluated.graph_trace or NO_TRACE
    with TemporaryDirectory(prefix="parity-") as scratch:
        subject = Subject(
            module=component.module,
            arguments=lambda: _arguments(evaluated),
            path=component.job.onnx,
            device=str(component.device),
            feeds=evaluated.feeds(tuple(graph_trace.inputs)),
            reference64={name: evaluated.graph_order[name] for name in errors},
            errors=errors,
            noise={name: diagnoses[name].budget.noise or 0.0 for name in errors},
            module_trace=evaluated.module_trace or NO_TRACE,
            graph_trace=graph_trace,
            output_names=evaluated.output_names,
            scratch=scratch,
            unmeasured=unmeasured,
            made_here=component.job.export is not None,
            memory=evaluated.memory,
        )
        found = attempt(lambda: diagnose_export(subject), "exported again", component.whose, component.device)
    return ExportFinding(notes=(found,)) if isinstance(found, str) else found


def _has_no_float64(results: Results) -> bool:
    return isinstance(results.reference64, str) or isinstance(results.candidate64, str)


def _export_error(evaluated: Evaluated, name: str, diagnosis: Diagnosis) -> float:
    """The export error where it is worth a look; ``inf`` where shapes differ, or what is finite."""
    results = evaluated.results[name]
    if isinstance(results.reference64, str) or isinstance(results.candidate64, str):
        return 0.0
    if difference(results.reference64, results.candidate64).disagreeing:
        return inf
    error = diagnosis.budget.export_error
    return error if error is not None and evaluated.is_worth_a_look(name, diagnosis, "export") else 0.0


def _arguments(evaluated: Evaluated) -> tuple[tuple[Tensor, ...], dict[str, Tensor]]:
    tensors = evaluated.inputs()
    return evaluated.component.bind(tensors).arguments(tensors)
