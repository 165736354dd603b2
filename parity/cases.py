"""Runs of one comparison -> one result for each case: each component call, and the chain or the model."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from parity import placement
from parity.blockers import what_blocks_all, what_blocks_set
from parity.errors import ParityError, SpecError
from parity.judging import Floors, compare_outputs
from parity.judging.loops import Judge, judge_loop, loops_of
from parity.judging.performance import Cost, judge_performance, side_performance
from parity.pairing import pair, pair_by_name
from parity.problems import problem_of
from parity.records.jobs import MODEL, PIPELINE, ComponentJob
from parity.records.outcomes import (
    Latency,
    NoiseFloors,
    Ran,
    SessionOpened,
)
from parity.records.plan import ProviderPlan, SuitePlan, case_id
from parity.records.results import CaseResult, OutputResult, PerformanceCheck, Problem, Status
from parity.records.runs import ComparisonRun, SetRun
from parity.records.sides import Comparison, TorchSide
from parity.records.tensors import InputSet, StageCall, TensorRecord

_UNKNOWN_SETS = "inputs"  # stands for the sets of a provider that could not be asked


def judge_comparison(plan: SuitePlan, run: ComparisonRun) -> Iterator[CaseResult]:
    """Every case of one comparison of one suite. A case that could not be judged says why."""
    blocked = what_blocks_all(plan, run)
    if blocked is None:
        reference, candidate = placement.placements(run)
        misplaced = placement.problem((*reference, *candidate), plan.placement, plan.at("placement"))
        for set_run in run.sets:
            yield from _judge_set(plan, run, set_run, misplaced)
        return
    known = () if isinstance(plan.inputs, ProviderPlan) else tuple(planned.id for planned in plan.inputs)
    for set_id in known or (_UNKNOWN_SETS,):
        for subject in plan.subjects:
            yield _case(
                plan,
                run.comparison,
                SetRun(id=set_id, inputs=InputSet(id=set_id, tensors=())),
                subject,
                blocked,
            )


def _judge_set(
    plan: SuitePlan, run: ComparisonRun, set_run: SetRun, misplaced: Problem | None
) -> Iterator[CaseResult]:
    problem = what_blocks_set(plan, run, set_run) or misplaced
    if problem is not None:
        for subject in plan.subjects:
            yield _case(plan, run.comparison, set_run, subject, problem)
        return
    assert isinstance(set_run.reference, Ran)
    assert isinstance(set_run.candidate, Ran)
    for component in plan.components:
        judged = list(_judge_component(plan, run, set_run, component))
        for subject, outputs in judged:
            yield _case(plan, run.comparison, set_run, subject, outputs)
        if not judged:
            never = Problem(
                kind="user-code",
                message=f"the pipeline never called the component {component.name!r}",
                at=plan.at("pipeline"),
                fix="call it, or take it out of the specification: what is not run is not verified",
            )
            yield _case(plan, run.comparison, set_run, component.name, never)
    if plan.pipeline is not None:
        yield _case(plan, run.comparison, set_run, PIPELINE, _judge_chain(plan, set_run))


def _judge_component(
    plan: SuitePlan, run: ComparisonRun, set_run: SetRun, component: ComponentJob
) -> Iterator[tuple[str, tuple[OutputResult, ...] | Problem]]:
    """The subject and the verdict of each call, or of each loop."""
    assert isinstance(set_run.reference, Ran)
    if component.loop is not None:
        for subject, steps in loops_of(component, set_run.reference):
            yield subject, _judge_loop(plan, run, set_run, component, steps)
        return
    for call in set_run.reference.calls:
        if call.component == component.name:
            yield call.subject, _judge_call(plan, run, set_run, component, call)


def _judge_call(
    plan: SuitePlan, run: ComparisonRun, set_run: SetRun, component: ComponentJob, call: StageCall
) -> tuple[OutputResult, ...] | Problem:
    """One component alone, on the reference's own tensors."""
    assert isinstance(set_run.candidate, Ran)
    theirs = [c for c in set_run.candidate.calls if (c.component, c.index) == (call.component, call.index)]
    judge = _judge_of(plan, run, set_run, component)
    return _unless_wrong(plan, component, lambda: judge(call, theirs[0] if theirs else None))


def _judge_loop(
    plan: SuitePlan,
    run: ComparisonRun,
    set_run: SetRun,
    component: ComponentJob,
    steps: tuple[StageCall, ...],
) -> tuple[OutputResult, ...] | Problem:
    """All steps of a component with state."""
    assert isinstance(set_run.candidate, Ran)
    candidate, judge = set_run.candidate, _judge_of(plan, run, set_run, component)
    return _unless_wrong(plan, component, lambda: judge_loop(steps, candidate, judge))


def _judge_of(plan: SuitePlan, run: ComparisonRun, set_run: SetRun, component: ComponentJob) -> Judge:
    session = run.sessions[component.name]
    assert isinstance(session, SessionOpened)
    # ONNX files, and the stages of a pipeline, name the reference's outputs as the ONNX file does already.
    has_paths = plan.pipeline is None and isinstance(run.comparison.reference, TorchSide)
    mapping = component.outputs if has_paths else {}

    def judge(ours: StageCall, theirs: StageCall | None) -> tuple[OutputResult, ...]:
        pairs = pair(session.outputs, ours.outputs, theirs.outputs if theirs else (), mapping)
        floors = _floors(set_run, ours.subject)
        return compare_outputs(pairs, plan.tolerances[component.name], plan.spec_file, floors)

    return judge


def _unless_wrong(
    plan: SuitePlan, component: ComponentJob, judge: Callable[[], tuple[OutputResult, ...]]
) -> tuple[OutputResult, ...] | Problem:
    try:
        return judge()
    except ParityError as error:
        key = "outputs" if component.name == MODEL else f"components.{component.name}.outputs"
        return _not_compared(error, plan.at(key))


def _judge_chain(plan: SuitePlan, set_run: SetRun) -> tuple[OutputResult, ...] | Problem:
    """The pipeline end to end: the same function with either side's stages."""
    assert isinstance(set_run.reference, Ran)
    assert isinstance(set_run.candidate, Ran)
    try:
        pairs = pair_by_name(set_run.reference.outputs or (), set_run.candidate.outputs or ())
        floors = _floors(set_run, PIPELINE)
        return compare_outputs(pairs, plan.tolerances[PIPELINE], plan.spec_file, floors)
    except ParityError as error:
        return _not_compared(error, plan.at("tolerances"))


def _floors(set_run: SetRun, subject: str) -> Floors:
    """The noise floors of a subject's outputs; none where no tolerance asked for them."""
    noise = set_run.noise.get(subject)
    if noise is None:
        return {}
    if isinstance(noise, NoiseFloors):
        return noise.floors
    return problem_of(noise, "the reference in float64").message


def _not_compared(error: ParityError, at: str) -> Problem:
    kind = "specification" if isinstance(error, SpecError) else "model"
    return Problem(kind=kind, message=error.problem, at=error.at or at, fix=error.fix)


def _case(
    plan: SuitePlan,
    sides: Comparison,
    set_run: SetRun,
    subject: str,
    judged: tuple[OutputResult, ...] | Problem,
) -> CaseResult:
    outputs = judged if isinstance(judged, tuple) else ()
    problem = None if isinstance(judged, tuple) else judged
    if problem is None and not outputs:
        problem = Problem(kind="model", message="there is no output to compare", fix="return a tensor")
    whole = subject in {MODEL, PIPELINE}
    return CaseResult(
        id=case_id(plan.name, sides.label, set_run.id, subject),
        suite=plan.name,
        subject=subject,
        device=sides.candidate.device,
        reference=sides.reference.text,
        candidate=sides.candidate.text,
        input_set=set_run.id,
        status="error" if problem else _status(outputs),
        inputs=_inputs(set_run, subject),
        outputs=outputs,
        problem=problem,
        reference_performance=side_performance(set_run.reference, set_run.reference_latency, whole),
        candidate_performance=side_performance(set_run.candidate, set_run.candidate_latency, whole),
        duration_s=set_run.seconds if whole else 0.0,
        performance=_limits(plan, sides, set_run) if whole and problem is None else (),
    )


def _status(outputs: tuple[OutputResult, ...]) -> Status:
    if any(output.status == "failed" for output in outputs):
        return "failed"
    return "passed" if all(output.status == "passed" for output in outputs) else "error"


def _inputs(set_run: SetRun, subject: str) -> tuple[TensorRecord, ...]:
    """The materialized inputs; a component's own come from the reference and are not listed."""
    if isinstance(set_run.inputs, InputSet) and subject in {MODEL, PIPELINE}:
        return set_run.inputs.tensors
    return ()


def _limits(plan: SuitePlan, sides: Comparison, set_run: SetRun) -> tuple[PerformanceCheck, ...]:
    """The limits of latency and memory, in the input sets that were timed."""
    reference, candidate = set_run.reference_latency, set_run.candidate_latency
    if not isinstance(reference, Latency) or not isinstance(candidate, Latency):
        return ()
    return judge_performance(
        plan.latency,
        Cost(latency=reference, on_gpu=sides.reference.device != "cpu"),
        Cost(latency=candidate, on_gpu=sides.candidate.device != "cpu"),
        plan.at,
    )
