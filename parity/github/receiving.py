"""Results that come from a job which ran the pull request's own code: a report, whatever the file holds.

What can't be trusted can still not become a pass: without results there is a report that says so.
"""

from __future__ import annotations

import os
import signal
import stat
from pathlib import Path

import msgspec

from parity import __version__
from parity.errors import CannotJudge, ExitCode, ParityError
from parity.records.results import SCHEMA_VERSION, Environment, Problem, Report, SuiteResult
from parity.reports import results, verdict

SIZE_LIMIT = 32 * 2**20  # bytes
_GREATEST_INTEGER = 2**63 - 1
_SIGNALLED = 128  # a shell's exit status is that and the number of the signal
_SUITE = "parity"  # that a problem of the whole run stands under
_NOBODY = Environment(python="", platform="", processor="", cores=0, memory_bytes=0, versions={})


def receive(path: Path, exit_status: int | None = None) -> Report:
    """The report in a results file, or one that says why there is none.

    Args:
        path: of a results.json; untrusted, as is what stands there.
        exit_status: that the gate ended with; one that is not what the results ask for is a problem.
    """
    try:
        report = results.parse(_read(path), at=path.name)
        _check_numbers(report, path.name)
    except ParityError as error:
        problem = Problem(kind="results", message=error.problem, at=error.at, fix=error.fix)
        return _with(_nothing(), _about(problem, exit_status))
    if exit_status is None or exit_status == verdict.exit_code(report):
        return report
    said = f"the gate {_ended(exit_status)}, yet its results ask for {int(verdict.exit_code(report))}"
    fix = "read the log of the gate; its results may be of another run"
    return _with(report, Problem(kind="results", message=said, fix=fix))


def _read(path: Path) -> bytes:
    """At most `SIZE_LIMIT` bytes of a regular file: no link to another, no pipe that never ends.

    Raises:
        CannotJudge: it is none, or larger.
    """
    again = "read the log of the gate: it ended before it wrote its results"
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise CannotJudge("the results are no regular file", at=path.name, fix=again)
            data = file.read(SIZE_LIMIT + 1)
    except FileNotFoundError as error:
        raise CannotJudge("there are no results: nothing was compared", at=path.name, fix=again) from error
    except OSError as error:
        raise CannotJudge(
            f"the results can't be read: {error.strerror or error}", at=path.name, fix=again
        ) from error
    if len(data) > SIZE_LIMIT:
        limit = f"{SIZE_LIMIT / 2**20:g} MiB"
        raise CannotJudge(
            f"the results are larger than the {limit} that are read",
            at=path.name,
            fix="split the suite, or give fewer input sets",
        )
    return data


def _check_numbers(report: Report, at: str) -> None:
    """JSON has integers of any length, on which arithmetic with floats breaks.

    Raises:
        CannotJudge: one is beyond any count of elements or bytes.
    """
    pending: list[object] = [msgspec.to_builtins(report)]
    while pending:
        match pending.pop():
            case int(number) if abs(number) > _GREATEST_INTEGER:
                raise CannotJudge(
                    "these are no results of parity: a number is out of range",
                    at=at,
                    fix="run the gate again",
                )
            case dict(fields):
                pending += fields.values()
            case list(entries) | tuple(entries):
                pending += entries


def _about(problem: Problem, exit_status: int | None) -> Problem:
    if exit_status is None:
        return problem
    return msgspec.structs.replace(problem, message=f"{problem.message}; the gate {_ended(exit_status)}")


def _ended(exit_status: int) -> str:
    """``ended with status 137, killed by SIGKILL``."""
    try:
        killed = f", killed by {signal.Signals(exit_status - _SIGNALLED).name}"
    except ValueError:
        killed = ""
    return f"ended with status {exit_status}{killed}"


def _nothing() -> Report:
    return Report(
        schema_version=SCHEMA_VERSION,
        tool_version=__version__,
        started_at="",
        duration_s=0.0,
        exit_code=int(ExitCode.UNJUDGED),
        environment=_NOBODY,
        suites=(),
        cases=(),
    )


def _with(report: Report, problem: Problem) -> Report:
    suite = SuiteResult(name=_SUITE, spec_file="", numerics="", problem=problem)
    return msgspec.structs.replace(report, suites=(*report.suites, suite))
