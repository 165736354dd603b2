"""What a side that gave no answer becomes in the report: a problem that says what to do about it."""

from __future__ import annotations

from parity.errors import ExitCode
from parity.records.outcomes import Crashed, Failed, OutOfMemory, TimedOut, Unanswered
from parity.records.results import Problem

_EXIT_CODES = {"specification": ExitCode.WRONG_SPEC, "tool": ExitCode.TOOL_DEFECT}


def problem_of(outcome: Unanswered, doing: str, at: str = "") -> Problem:
    """Says why there is no answer.

    Args:
        outcome: of the request.
        doing: what the side was doing: ``the reference, loading the model``.
        at: place in the specification that the error is about, if it is about one.
    """
    match outcome:
        case Failed(reason=reason, problem=problem, fix=fix, detail=detail, causes=causes):
            message = f"{doing}: {problem}"
            return Problem(kind=reason, message=message, at=at, fix=fix, detail=detail, causes=causes)
        case Crashed(signal=None, exit_status=status, stderr_tail=tail):
            return Problem(
                kind="crash",
                message=f"{doing}: the process ended with status {status} and gave no answer",
                at=at,
                fix="the code, or a library, ended the process itself (os._exit): make it raise instead",
                detail=tail,
            )
        case Crashed(signal=name, stderr_tail=tail):
            return Problem(
                kind="crash",
                message=f"{doing}: the process was killed by {name}",
                at=at,
                fix=_AFTER_SIGNAL.get(name or "", "run it by hand under a debugger; the log's end is below"),
                detail=tail,
            )
        case TimedOut(limit_s=limit, stderr_tail=tail):
            return Problem(
                kind="timeout",
                message=f"{doing}: no answer within {limit:g} s",
                at=at,
                fix="raise limits.timeout if it is only slow",
                detail=tail,
            )
        case OutOfMemory(limit_bytes=limit, reached_bytes=reached, stderr_tail=tail):
            return Problem(
                kind="memory",
                message=f"{doing}: {reached / 2**30:.2f} GiB in use, the limit is {limit / 2**30:.2f} GiB",
                at=at,
                fix="raise limits.memory or use smaller inputs",
                detail=tail,
            )


def exit_code_of(problem: Problem) -> ExitCode:
    """The exit status that a problem stands for."""
    return _EXIT_CODES.get(problem.kind, ExitCode.UNJUDGED)


_AFTER_SIGNAL = {
    "SIGSEGV": "a native library crashed: look for a custom op or a mismatch of versions",
    "SIGKILL": "most often the machine ran out of memory: use smaller inputs, or set limits.memory to see it",
    "SIGABRT": "a native library gave up: its last words are below",
    "SIGILL": "a library was built for another processor",
}
