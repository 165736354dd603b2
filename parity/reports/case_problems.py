"""Why a case could not be judged, from all that its result says."""

from __future__ import annotations

from parity.records.results import CaseResult, Problem

OF_OUTPUT = "output"  # the kind of a problem that one output has, not the whole case
OF_LIMIT = "limit"  # the kind of a problem that a limit of latency or memory has


def case_problems(case: CaseResult) -> list[Problem]:
    """Why a case, or single outputs of it, could not be judged.

    A case that is not skipped and has no output to show for its status has a problem too.
    """
    problems = [case.problem] if case.problem and case.status != "skipped" else []
    problems += [
        Problem(kind=OF_OUTPUT, message=f"{output.name}: {output.problem or 'it could not be judged'}")
        for output in case.outputs
        if output.status == "error"
    ]
    problems += [
        Problem(kind=OF_LIMIT, message=f"{check.limit_name}: {check.problem}", at=check.at)
        for check in case.performance
        if check.status == "error"
    ]
    shown = {output.status for output in case.outputs}
    judged = any(problem.kind != OF_LIMIT for problem in problems)
    if not judged and case.status != "skipped" and case.status not in shown:
        problems.append(Problem(kind="tool", message=f"the case is {case.status}, and no output of it is"))
    return problems
