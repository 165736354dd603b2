"""Noise floors: asked for where a tolerance is a multiple of them, and nowhere else."""

from __future__ import annotations

from parity.execution.side import Side
from parity.records.jobs import PIPELINE
from parity.records.outcomes import NoiseFloors, Ran, Unanswered
from parity.records.plan import SuitePlan
from parity.records.requests import MeasureNoise
from parity.records.runs import SetRun
from parity.records.tensors import InputSet


def measure_noise(plan: SuitePlan, run: SetRun, reference: Side) -> dict[str, NoiseFloors | Unanswered]:
    """The noise floors of each subject that needs them, or why there are none.

    Args:
        plan: has the tolerances.
        run: an input set; nothing is measured where a side has not run it, since nothing will be compared.
        reference: whose worker measures.
    """
    if not isinstance(run.reference, Ran) or not isinstance(run.candidate, Ran):
        return {}
    assert isinstance(run.inputs, InputSet)
    requests = {
        call.subject: MeasureNoise(component=call.component, inputs=call.inputs, outputs=call.outputs)
        for call in run.reference.calls
        if needs_noise(plan, call.component)
    }
    if run.reference.outputs is not None and needs_noise(plan, PIPELINE):
        requests[PIPELINE] = MeasureNoise(
            component=None, inputs=run.inputs.tensors, outputs=run.reference.outputs
        )
    return {subject: reference.ask(request, NoiseFloors) for subject, request in requests.items()}


def needs_noise(plan: SuitePlan, subject: str) -> bool:
    """Whether a tolerance of the subject is a multiple of a noise floor."""
    return any(rule.noise_factor is not None for rule in plan.tolerances[subject])
