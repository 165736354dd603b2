"""What kept the cases of a comparison, or of one input set, from being compared; each says at which key."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from parity.problems import problem_of
from parity.records.jobs import MODEL
from parity.records.outcomes import Exported, Failed, Latency, Loaded, Ran, SessionOpened, Unanswered
from parity.records.plan import SuitePlan
from parity.records.results import Problem
from parity.records.runs import ComparisonRun, SetRun
from parity.records.sides import Comparison, OnnxRuntimeSide, Role
from parity.records.tensors import InputSet


def what_blocks_all(plan: SuitePlan, run: ComparisonRun) -> Problem | None:
    """What kept every case of a comparison from being run."""
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
        return _key_of_file(plan, sides, "reference")
    return "model" if plan.pipeline is None else "components"


def _key_of_file(plan: SuitePlan, sides: Comparison, role: Role) -> str:
    """The key that names the ONNX file which a side runs; of a module, the one that it is held against."""
    side = sides.reference if role == "reference" else sides.candidate
    if isinstance(side, OnnxRuntimeSide) and side.files:
        return f"{sides.key_of(role)}.onnx"
    return "onnx" if plan.pipeline is None else "components"


def what_blocks_set(plan: SuitePlan, run: ComparisonRun, set_run: SetRun) -> Problem | None:
    """The first thing, in the order of the data, that kept this input set from being compared."""
    return next(_blockers(plan, run, set_run), None)


def _blockers(plan: SuitePlan, run: ComparisonRun, set_run: SetRun) -> Iterator[Problem]:
    inputs, sides = plan.at("inputs"), run.comparison
    if not isinstance(set_run.inputs, InputSet):
        yield _problem(set_run.inputs, f"making the inputs {set_run.id}", inputs)
    if not isinstance(set_run.reference, Ran):
        at = _about(plan, sides, "reference", set_run.reference) or inputs
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
        at = _about(plan, sides, "candidate", set_run.candidate) or inputs
        yield _problem(set_run.candidate, f"running the candidate on {sides.candidate.device}", at)
    for side, device, latency in (
        ("reference", sides.reference.device, set_run.reference_latency),
        ("candidate", sides.candidate.device, set_run.candidate_latency),
    ):
        if latency is not None and not isinstance(latency, Latency):
            yield _problem(latency, f"running the {side} on {device} again, for its latency", inputs)


def _about(plan: SuitePlan, sides: Comparison, role: Role, outcome: Ran | Unanswered | None) -> str:
    """The place of the key that a worker's error is about, where it says which, or is about the ONNX file."""
    if not isinstance(outcome, Failed):
        return ""
    if outcome.about:
        return plan.at(outcome.about)
    if outcome.reason == "onnx":
        return plan.at(_key_of_file(plan, sides, role))
    return ""


def _problem(outcome: Unanswered | None, doing: str, at: str) -> Problem:
    if outcome is None:
        return Problem(kind="tool", message=f"{doing}: it was never asked", fix="please report this")
    return problem_of(outcome, doing, at)
