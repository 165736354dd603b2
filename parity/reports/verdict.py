"""What the whole report comes to: one line and an exit status. Both fail closed."""

from __future__ import annotations

from parity.errors import ExitCode, worst
from parity.problems import exit_code_of
from parity.records.results import Report

from . import growth
from .figures import counted
from .limits import exceeded
from .selection import output_rows, skipped, unjudged
from .wording import failed_by_growth_alone


def exit_code(report: Report) -> ExitCode:
    """The exit status of the report: the recorded one, or a worse one that its cases ask for.

    A results file may be damaged or forged; one that says 0 beside a failed output is no pass.
    """
    codes = [ExitCode(report.exit_code)]
    outputs = [output for case in report.cases for output in case.outputs]
    failed = any(output.status == "failed" for output in outputs)
    if failed or exceeded(report):
        codes.append(ExitCode.FAILED)
    if not failed and not _elements_compared(report):
        codes.append(ExitCode.UNJUDGED)
    codes += [exit_code_of(entry.problem) for entry in unjudged(report)]
    return worst(codes)


def _elements_compared(report: Report) -> int:
    """Empty outputs on both sides agree, but a run of nothing else has compared nothing."""
    return sum(
        output.measurement.elements
        for case in report.cases
        for output in case.outputs
        if output.status == "passed" and output.measurement is not None
    )


def headline(report: Report) -> str:
    """The verdict in one line, without a name in it: ``3 of 13 outputs beyond tolerance``."""
    rows, problems, code = output_rows(report), unjudged(report), exit_code(report)
    passed = sum(row.status == "passed" for row in rows)
    failed = [row for row in rows if row.status == "failed"]
    beyond = sum(not failed_by_growth_alone(row.worst) for row in failed)
    said = [f"{beyond:,} of {counted(len(rows), 'output')} beyond tolerance"] if beyond else []
    if limits := len(exceeded(report)):
        said.append(f"{counted(limits, 'limit')} of latency or memory exceeded")
    if code is ExitCode.TOOL_DEFECT:
        said.append("a defect of parity itself")
    unknown = []
    if cases := {case for entry in problems for case in entry.cases}:
        unknown.append(f"{len(cases):,} of {counted(len(report.cases), 'case')}")
    if suites := {entry.suite for entry in problems if not entry.cases}:
        unknown.append(counted(len(suites), "suite"))
    if unknown:
        said.append(f"{' and '.join(unknown)} could not be judged")
    grown = len(growth.grown(rows))
    if len(failed) > beyond:
        said.append(f"{grown:,} of {counted(len(rows), 'output')} grown since the baseline")
    if passed and not failed and _elements_compared(report):
        said.append(f"{counted(passed, 'output')} within tolerance")
    if grown and len(failed) == beyond:
        said.append(f"{grown:,} grown since the baseline")
    if not failed and not _elements_compared(report):
        said.append("nothing was compared")
    if left_out := sum(len(entry.cases) for entry in skipped(report)):
        said.append(f"{left_out:,} skipped")
    return ", ".join(said)
