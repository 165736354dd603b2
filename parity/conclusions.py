"""What both sides' workers found about one component call -> one diagnosis for each output. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from parity.problems import problem_of
from parity.records.diagnosis import Budget, Cause, Diagnosis, Divergence
from parity.records.outcomes import Diagnosed, DiagnosedRuntime, RuntimeFinding, Unanswered
from parity.records.results import OutputResult

_LEGS = ("reference_rounding", "export_error", "runtime_error", "repeatability", "noise_floor")
_EXPLAINS_NOTHING = ("rounding", "unknown")


def conclude(found: Diagnosed, runtime: DiagnosedRuntime | Unanswered | None) -> dict[str, Diagnosis]:
    """The diagnoses by the ONNX outputs' names.

    Args:
        found: what the reference's side says.
        runtime: what the candidate's side says about its leg; None where it was not asked.
    """
    diagnoses = found.diagnoses
    if isinstance(runtime, DiagnosedRuntime):
        diagnoses = {
            name: _merged(diagnosis, runtime.findings.get(name, RuntimeFinding()), found.places)
            for name, diagnosis in diagnoses.items()
        }
    elif runtime is not None:
        note = problem_of(runtime, "looking into ONNX Runtime").message
        diagnoses = {
            name: _noted(diagnosis, [note]) if diagnosis.is_worth_a_look("runtime") else diagnosis
            for name, diagnosis in diagnoses.items()
        }
    return {name: _concluded(diagnosis, found.odd_inputs) for name, diagnosis in diagnoses.items()}


def unanswered(output: OutputResult, answer: Unanswered) -> Diagnosis:
    """Of an output whose budget nobody could work out."""
    why = problem_of(answer, "working out the error budget").message
    unknown = Budget(
        total=output.measurement.max_abs if output.measurement else None,
        reference_rounding=None,
        export_error=None,
        runtime_error=None,
        repeatability=None,
        noise_floor=None,
        unknown=dict.fromkeys(_LEGS, why),
    )
    return Diagnosis(budget=unknown, dominant_leg=None)


def _merged(diagnosis: Diagnosis, found: RuntimeFinding, places: Mapping[str, tuple[str, str]]) -> Diagnosis:
    first = diagnosis.first_divergence
    if diagnosis.dominant_leg == "runtime" or (diagnosis.dominant_leg is None and first is None):
        first = _placed(found.first_divergence, places)
    merged = replace(
        diagnosis, first_divergence=first, causes=diagnosis.ranked((*diagnosis.causes, *found.causes))
    )
    return _noted(merged, found.notes)


def _placed(first: Divergence | None, places: Mapping[str, tuple[str, str]]) -> Divergence | None:
    """With the PyTorch module that the node stands for: the candidate's side knows nothing of it."""
    if first is None or first.module or first.node not in places:
        return first
    module, source = places[first.node]
    return replace(first, module=module, source=source)


def _noted(diagnosis: Diagnosis, notes: Iterable[str]) -> Diagnosis:
    return replace(diagnosis, notes=tuple(dict.fromkeys((*diagnosis.notes, *notes))))


def _concluded(diagnosis: Diagnosis, odd_inputs: tuple[Cause, ...]) -> Diagnosis:
    """With a cause, also where no probe had one, and without those that the first one makes idle."""
    causes = diagnosis.causes or _by_the_figures(diagnosis)
    if causes and all(cause.kind == "unknown" for cause in causes):
        causes = (*odd_inputs, *causes)
    if any(cause.kind not in _EXPLAINS_NOTHING for cause in causes):
        causes = tuple(cause for cause in causes if cause.kind != "rounding")
    return replace(diagnosis, causes=causes)


def _by_the_figures(diagnosis: Diagnosis) -> tuple[Cause, ...]:
    """What the budget alone says: nothing where nothing differs."""
    budget = diagnosis.budget
    if not diagnosis.is_rounding:
        return (_unknown(diagnosis),)
    return (_rounding(budget.noise or 0.0),) if budget.total else ()


def _rounding(noise: float) -> Cause:
    within = f"the float32 noise floor of this output is {noise:.3g}"
    return Cause(
        kind="rounding",
        leg="reference",
        message=f"rounding: every leg is within ten times the noise, {within}",
        remedy="nothing to mend; give the output a tolerance that this noise can't break",
    )


def _unknown(diagnosis: Diagnosis) -> Cause:
    return Cause(
        kind="unknown",
        leg=diagnosis.dominant_leg or "reference",
        message="nothing that was tried explains the difference",
        remedy="keep the tensors with --keep and compare the sides step by step",
    )
