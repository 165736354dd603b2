"""Runs of one comparison -> one result for each case: each component call, and the chain or the model."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from msgspec.structs import replace

from parity import placement
from parity.errors import ParityError, SpecError
from parity.judging import Floors, compare_outputs
from parity.judging.loops import Judge, judge_loop, loops_of
from parity.judging.performance import Cost, judge_performance, side_performance
from parity.pairing import pair, pair_by_name
from parity.problems import problem_of
from parity.records.jobs import MODEL, PIPELINE, ComponentJob
from parity.records.outcomes import (
    Exported,
    Failed,
    Latency,
    Loaded,
    NoiseFloors,
    Ran,
    SessionOpened,
    Unanswered,
)
from parity.records.plan import ProviderPlan, SuitePlan, case_id
from parity.records.results import CaseResult, OutputResult, PerformanceCheck, Problem, Status
from parity.records.runs import ComparisonRun, SetRun
from parity.records.sides import Comparison, OnnxRuntimeSide, TorchSide
from parity.records.tensors import InputSet, StageCall, TensorRecord

_UNKNOWN_SETS = "inputs"  # stands for the sets of a provider that could not be asked


def judge_comparison(plan: SuitePlan, run: ComparisonRun) -> Iterator[CaseResult]:
    """Every case of one comparison of one suite. A case that could not be judged says why."""
    blocked = _what_blocks_all(plan, run)
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


def _what_blocks_all(plan: SuitePlan, run: ComparisonRun) -> Problem | None:
    if not isinstance(run.reference, Loaded):
        sides = run.comparison
        both = _no_device(plan, run)
        if both is not None:
            return both
        doing = f"loading the reference on {sides.reference.device}"
        return problem_of(run.reference, doing, plan.at(_key_of_reference(plan, sides, run.reference)))
    if run.blocked is not None:
        return problem_of(run.blocked, "making the inputs", plan.at("inputs"))
    return None


def _no_device(plan: SuitePlan, run: ComparisonRun) -> Problem | None:
    """What both sides say where neither can use its device: each knows another part of what is missing."""
    if isinstance(run.reference, Loaded) or isinstance(run.candidate, Loaded):
        return None
    sides = run.comparison
    at = plan.at(sides.key)
    reference = problem_of(run.reference, f"loading the reference on {sides.reference.device}", at)
    candidate = problem_of(run.candidate, f"starting ONNX Runtime on {sides.candidate.device}", at)
    if {reference.kind, candidate.kind} != {"device"}:
        return None
    return replace(
        reference,
        message=f"{reference.message}; {candidate.message}",
        fix=f"{reference.fix}; for ONNX Runtime: {candidate.fix}",
        detail="\n".join(filter(None, (reference.detail, candidate.detail))),
    )


def _key_of_reference(plan: SuitePlan, sides: Comparison, why: Unanswered) -> str:
    """The key that a reference which does not load is most likely about."""
    if isinstance(why, Failed) and why.reason == "device":
        return sides.key_of("reference")
    if isinstance(sides.reference, OnnxRuntimeSide):
        if sides.reference.files:
            return f"{sides.key_of('reference')}.onnx"
        return "onnx" if plan.pipeline is None else "components"
    return "model" if plan.pipeline is None else "components"


def _judge_set(
    plan: SuitePlan, run: ComparisonRun, set_run: SetRun, misplaced: Problem | None
) -> Iterator[CaseResult]:
    problem = _what_blocks_set(plan, run, set_run) or misplaced
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


def _what_blocks_set(plan: SuitePlan, run: ComparisonRun, set_run: SetRun) -> Problem | None:
    """The first thing, in the order of the data, that kept this input set from being compared."""
    return next(_blockers(plan, run, set_run), None)


def _blockers(plan: SuitePlan, run: ComparisonRun, set_run: SetRun) -> Iterator[Problem]:
    inputs, sides = plan.at("inputs"), run.comparison
    if not isinstance(set_run.inputs, InputSet):
        yield _problem(set_run.inputs, f"making the inputs {set_run.id}", inputs)
    if not isinstance(set_run.reference, Ran):
        at = _about(plan, set_run.reference) or inputs
        yield _problem(set_run.reference, f"running the reference on {sides.reference.device}", at)
    if not isinstance(run.candidate, Loaded):
        yield _problem(
            run.candidate,
            f"starting ONNX Runtime on {sides.candidate.device}",
            plan.at(sides.key_of("candidate")),
        )
    for component in sides.candidate.components(plan.components):
        export, session = run.exports.get(component.name), run.sessions.get(component.name)
        of_name = "" if component.name == MODEL else f" of {component.name}"
        key = "onnx" if component.name == MODEL else f"components.{component.name}.onnx"
        own = component.name in sides.candidate.files
        at = plan.at(f"{sides.key_of('candidate')}.onnx" if own else key)
        if component.export is not None and not isinstance(export, Exported):
            yield _problem(export, f"exporting the ONNX file{of_name}", at)
        if not isinstance(session, SessionOpened):
            yield _problem(session, f"opening the ONNX file{of_name}", at)
    if not isinstance(set_run.candidate, Ran):
        at = _about(plan, set_run.candidate) or inputs
        yield _problem(set_run.candidate, f"running the candidate on {sides.candidate.device}", at)
    for side, device, latency in (
        ("reference", sides.reference.device, set_run.reference_latency),
        ("candidate", sides.candidate.device, set_run.candidate_latency),
    ):
        if latency is not None and not isinstance(latency, Latency):
            yield _problem(latency, f"running the {side} on {device} again, for its latency", inputs)


def _about(plan: SuitePlan, outcome: Ran | Unanswered | None) -> str:
    """The place of the key that a worker's error is about, where it says which."""
    return plan.at(outcome.about) if isinstance(outcome, Failed) and outcome.about else ""


def _problem(outcome: Unanswered | None, doing: str, at: str) -> Problem:
    if outcome is None:
        return Problem(kind="tool", message=f"{doing}: it was never asked", fix="please report this")
    return problem_of(outcome, doing, at)


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
