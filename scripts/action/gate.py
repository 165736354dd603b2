"""Step 4: the verdict as this step's exit status. Whatever is not known to have passed has failed."""

from __future__ import annotations

from messages import FAILED, PASSED, UNJUDGED, WORST_FIRST, error, say, warning, worst
from settings import Inputs, Runner

_MEANS = {
    0: "every output of every case is within tolerance",
    1: "at least one output is beyond its tolerance",
    2: "the specification or an input of the action is wrong",
    3: "it could not be judged",
    4: "a defect of parity itself",
}


def run(inputs: Inputs, runner: Runner) -> int:
    """The worst of what the steps before have come to."""
    outcomes = {name: runner.of_step(f"{name.upper()}_OUTCOME") for name in ("preflight", "verify", "report")}
    for name, outcome in outcomes.items():
        if outcome != "success":
            error(f"the step {name} did not end well ({outcome or 'it did not run'}), so nothing is known")
            return UNJUDGED
    # Both are asked: the process's own status, and what the results hold once they are validated.
    statuses = [_status(runner.of_step("VERIFY_EXIT_CODE")), _status(runner.of_step("VERDICT"))]
    status = worst(statuses)
    grown = "growth" in inputs.fail_on and runner.of_step("GROWN") not in ("", "0")
    if status == FAILED and "difference" not in inputs.fail_on and not grown:
        warning(f"{_MEANS[status]}; `fail-on` lets it pass")
        # A difference outranks what could not be judged, which still never passes.
        status = PASSED if runner.of_step("ERRORS") == "0" else UNJUDGED
    if status == PASSED:
        say("passed" if max(statuses) == PASSED else "passed, with the warnings above")
        return PASSED
    error(f"{_MEANS[status]} (exit status {status}); the report step and the reports say more")
    return status


def _status(text: str) -> int:
    """Of a step's output; what is no exit status of parity is one of what could not be judged."""
    return int(text) if text in map(str, WORST_FIRST) else UNJUDGED
