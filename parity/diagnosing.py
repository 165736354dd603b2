"""Judged cases -> the same with the error budget of their outputs. A diagnosis never changes a verdict.

Of each component the worst input set is diagnosed: a budget costs several runs, and one says it for all. The
chain has none of its own, for it is diagnosed component by component.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from parity.execution import Execution, Progress
from parity.problems import problem_of
from parity.records.diagnosis import Budget, Diagnosis
from parity.records.jobs import PIPELINE, Diagnose, StageCall
from parity.records.outcomes import Diagnosed, Ran, Unanswered
from parity.records.plan import SuitePlan
from parity.records.results import CaseResult, OutputResult
from parity.records.runs import DeviceRun, SetRun
from parity.records.tensors import TensorRecord

_LEGS = ("reference_rounding", "export_error", "runtime_error", "repeatability", "noise_floor")

_Due = tuple[CaseResult, StageCall]  # a case, and the reference's call that it judges


def diagnose_cases(
    plan: SuitePlan, run: DeviceRun, cases: list[CaseResult], execution: Execution, progress: Progress
) -> list[CaseResult]:
    """The cases in their order; those that the plan wants diagnosed carry a diagnosis of each output.

    Args:
        plan: says when to diagnose.
        run: what the cases were judged by.
        cases: of this run.
        execution: whose workers are alive still, or can be started again.
        progress: told what is going on.
    """
    due = _worst_of_each_component(plan, run, cases)
    done: dict[str, CaseResult] = {}
    for set_run in run.sets:
        of_set = [(case, call) for case, call in due if case.input_set == set_run.id]
        if not of_set:
            continue
        again = execution.run_again(set_run, tuple(call for _, call in of_set))
        for case, call in of_set:
            progress(f"{run.device}: budget of {case.subject}", len(done), len(due))
            done[case.id] = _diagnosed(case, call, set_run, again, execution)
    return [done.get(case.id, case) for case in cases]


def _worst_of_each_component(plan: SuitePlan, run: DeviceRun, cases: Iterable[CaseResult]) -> list[_Due]:
    """By the greatest factor beyond a tolerance; the first where several are alike."""
    if plan.diagnose == "never":
        return []
    sets = {set_run.id: set_run for set_run in run.sets}
    worst: dict[str, tuple[float, _Due]] = {}
    for case in cases:
        factors = [_factor(output) for output in _measured(case) if _wanted(plan, output)]
        if not factors or case.subject == PIPELINE:
            continue
        call = _call_of(case.subject, sets[case.input_set].reference)
        if call.component not in worst or max(factors) > worst[call.component][0]:
            worst[call.component] = (max(factors), (case, call))
    return [due for _, due in worst.values()]


def _measured(case: CaseResult) -> Iterator[OutputResult]:
    """Outputs whose two sides could be compared: of one shape and dtype."""
    return (output for output in case.outputs if output.measurement is not None)


def _wanted(plan: SuitePlan, output: OutputResult) -> bool:
    return plan.diagnose == "always" or output.status == "failed"


def _factor(output: OutputResult) -> float:
    return float("inf") if output.factor is None else output.factor


def _call_of(subject: str, reference: Ran | Unanswered | None) -> StageCall:
    assert isinstance(reference, Ran)
    return next(call for call in reference.calls if call.subject == subject)


def _diagnosed(
    case: CaseResult, call: StageCall, set_run: SetRun, again: Ran | Unanswered, execution: Execution
) -> CaseResult:
    """The case with a diagnosis of each output that was measured."""
    assert isinstance(set_run.candidate, Ran)
    outputs = list(_measured(case))
    theirs = _outputs_of(call, set_run.candidate)
    ours = {record.name: record for record in call.outputs}
    request = Diagnose(
        component=call.component,
        call=call,
        outputs=tuple(output.name for output in outputs),
        reference=tuple(ours[output.reference_path] for output in outputs),
        candidate=tuple(theirs[output.name] for output in outputs),
        repeated=_repeated(call, outputs, again),
    )
    answer = execution.diagnose(request)
    return replace(case, outputs=tuple(_with_diagnosis(output, answer) for output in case.outputs))


def _repeated(
    call: StageCall, outputs: list[OutputResult], again: Ran | Unanswered
) -> tuple[TensorRecord, ...] | str:
    if not isinstance(again, Ran):
        return problem_of(again, "running the candidate a second time").message
    records = _outputs_of(call, again)
    return tuple(records[output.name] for output in outputs)


def _outputs_of(call: StageCall, candidate: Ran) -> dict[str, TensorRecord]:
    """What the candidate made of the reference's call, by ONNX name."""
    (theirs,) = (c for c in candidate.calls if (c.component, c.index) == (call.component, call.index))
    return {record.name: record for record in theirs.outputs}


def _with_diagnosis(output: OutputResult, answer: Diagnosed | Unanswered) -> OutputResult:
    if output.measurement is None:
        return output
    if isinstance(answer, Diagnosed):
        return replace(output, diagnosis=answer.diagnoses[output.name])
    why = problem_of(answer, "working out the error budget").message
    unknown = Budget(
        total=output.measurement.max_abs,
        reference_rounding=None,
        export_error=None,
        runtime_error=None,
        repeatability=None,
        noise_floor=None,
        unknown=dict.fromkeys(_LEGS, why),
    )
    return replace(output, diagnosis=Diagnosis(budget=unknown, dominant_leg=None))
