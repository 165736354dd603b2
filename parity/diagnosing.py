"""Judged cases -> the same with a diagnosis of their outputs. A diagnosis never changes a verdict.

Of each component the worst input set is diagnosed: a budget costs several runs, and one says it for all. The
chain has none of its own, for it is diagnosed component by component.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from parity.conclusions import conclude, unanswered
from parity.execution import Execution, Progress
from parity.judging import match_groups
from parity.judging.loops import loops_of, step_to_look_into
from parity.problems import problem_of
from parity.records.diagnosis import Diagnosis, ModuleErrors
from parity.records.jobs import PIPELINE
from parity.records.matching import MatchGroup
from parity.records.outcomes import Diagnosed, DiagnosedRuntime, Ran, Unanswered
from parity.records.plan import SuitePlan
from parity.records.requests import Diagnose, DiagnoseRuntime
from parity.records.results import CaseResult, OutputResult
from parity.records.runs import ComparisonRun, SetRun
from parity.records.tensors import StageCall, TensorRecord

_Due = tuple[CaseResult, StageCall]  # a case, and the reference's call that it judges


def diagnose_cases(
    plan: SuitePlan, run: ComparisonRun, cases: list[CaseResult], execution: Execution, progress: Progress
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
            progress(f"{run.comparison.text}: budget of {case.subject}", len(done), len(due))
            done[case.id] = _diagnosed(case, call, set_run, again, execution)
    return [done.get(case.id, case) for case in cases]


def _worst_of_each_component(plan: SuitePlan, run: ComparisonRun, cases: Iterable[CaseResult]) -> list[_Due]:
    """By the greatest factor beyond a tolerance; the first where several are alike."""
    if plan.diagnose == "never":
        return []
    sets = {set_run.id: set_run for set_run in run.sets}
    worst: dict[str, tuple[float, _Due]] = {}
    for case in cases:
        set_run = sets.get(case.input_set)
        if (
            case.problem is not None
            or case.subject == PIPELINE
            or set_run is None
            or not isinstance(set_run.candidate, Ran)
        ):
            continue
        call = _call_of(plan, case, set_run.reference)
        wanted = [output for output in _comparable(case, call, set_run) if _wanted(plan, output)]
        factor = max(map(_factor, wanted), default=None)
        if factor is not None and (call.component not in worst or factor > worst[call.component][0]):
            worst[call.component] = (factor, (case, call))
    return [due for _, due in worst.values()]


def _comparable(case: CaseResult, call: StageCall, set_run: SetRun) -> list[OutputResult]:
    """Outputs that both sides gave, whatever their shapes; those that could not be matched have no order."""
    assert isinstance(set_run.candidate, Ran)
    theirs = _outputs_of(call, set_run.candidate)
    ours = {record.name for record in call.outputs}
    left_out = _unmatched(case)
    return [
        output
        for output in case.outputs
        if output.name in theirs and output.reference_path in ours and output.name not in left_out
    ]


def _wanted(plan: SuitePlan, output: OutputResult) -> bool:
    grown = output.growth is not None and output.growth.state == "grown"
    return plan.diagnose == "always" or output.status == "failed" or grown


def _factor(output: OutputResult) -> float:
    return float("inf") if output.factor is None else output.factor


def _call_of(plan: SuitePlan, case: CaseResult, reference: Ran | Unanswered | None) -> StageCall:
    """The call that a case judges; of a loop the step that is most at fault by itself."""
    assert isinstance(reference, Ran)
    for component in plan.components:
        if component.loop is not None:
            for subject, steps in loops_of(component, reference):
                if subject == case.subject:
                    wanted = [output for output in case.outputs if _wanted(plan, output)]
                    return step_to_look_into(wanted or case.outputs, steps)
    return next(call for call in reference.calls if call.subject == case.subject)


def _diagnosed(
    case: CaseResult, call: StageCall, set_run: SetRun, again: Ran | Unanswered, execution: Execution
) -> CaseResult:
    """The case with a diagnosis of each output that both sides gave."""
    assert isinstance(set_run.candidate, Ran)
    outputs = _comparable(case, call, set_run)
    theirs = _outputs_of(call, set_run.candidate)
    ours = {record.name: record for record in call.outputs}
    request = Diagnose(
        component=call.component,
        call=call,
        outputs=tuple(output.name for output in outputs),
        reference=tuple(ours[output.reference_path] for output in outputs),
        candidate=tuple(theirs[output.name] for output in outputs),
        repeated=_repeated(call, outputs, again),
        matching=_groups(case),
        passed=tuple(output.name for output in outputs if output.status == "passed"),
    )
    answer = execution.diagnose(request)
    if not isinstance(answer, Diagnosed):
        unknown = {output.name: unanswered(output, answer) for output in outputs}
        return _with_diagnoses(case, call, unknown, ())
    diagnoses = conclude(answer, _ask_runtime(request, answer, execution))
    return _with_diagnoses(case, call, diagnoses, answer.modules)


def _groups(case: CaseResult) -> tuple[MatchGroup, ...]:
    """Outputs that were matched, together with which others; all or none of a group were measured."""
    tolerances = {
        output.name: output.tolerance
        for output in case.outputs
        if output.tolerance is not None and output.measurement is not None
    }
    return match_groups(tolerances, [output.name for output in case.outputs])


def _unmatched(case: CaseResult) -> set[str]:
    """Outputs that should have been matched and could not be."""
    rules = {
        output.name: output.tolerance
        for output in case.outputs
        if output.tolerance and output.tolerance.match not in (None, "argmax")
    }
    asked = {name for leader, rule in rules.items() for name in (leader, *rule.together)}
    return asked - {member.output for group in _groups(case) for member in group.members}


def _repeated(
    call: StageCall, outputs: list[OutputResult], again: Ran | Unanswered
) -> tuple[TensorRecord, ...] | str:
    if not isinstance(again, Ran):
        return problem_of(again, "running the candidate a second time").message
    records = _outputs_of(call, again)
    missing = next((output.name for output in outputs if output.name not in records), None)
    if missing is not None:
        return f"the candidate's second run has no {missing!r}"
    return tuple(records[output.name] for output in outputs)


def _outputs_of(call: StageCall, candidate: Ran) -> dict[str, TensorRecord]:
    """What the candidate made of the reference's call, by ONNX name."""
    (theirs,) = (c for c in candidate.calls if (c.component, c.index) == (call.component, call.index))
    return {record.name: record for record in theirs.outputs}


def _ask_runtime(
    request: Diagnose, found: Diagnosed, execution: Execution
) -> DiagnosedRuntime | Unanswered | None:
    """What the candidate's side finds about its leg; None where that is worth no look."""
    worth = [
        name
        for name in request.outputs
        if found.diagnoses[name].is_worth_a_look("runtime", passed=name in request.passed)
    ]
    if not worth:
        return None
    candidate = dict(zip(request.outputs, request.candidate, strict=True))
    return execution.diagnose_runtime(
        DiagnoseRuntime(
            component=request.component,
            call=request.call,
            outputs=tuple(worth),
            candidate=tuple(candidate[name] for name in worth),
        )
    )


def _with_diagnoses(
    case: CaseResult, call: StageCall, diagnoses: dict[str, Diagnosis], modules: tuple[ModuleErrors, ...]
) -> CaseResult:
    outputs = (
        replace(output, diagnosis=diagnoses[output.name], diagnosed_step=_step_of(call, output))
        if output.name in diagnoses
        else output
        for output in case.outputs
    )
    return replace(case, outputs=tuple(outputs), modules=modules)


def _step_of(call: StageCall, output: OutputResult) -> int | None:
    return call.index % len(output.steps) + 1 if output.steps else None
