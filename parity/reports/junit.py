"""`junit.xml` for CI servers: a suite for each specification, a test case for each output of each case.

failure: beyond tolerance, or not the reference's shape, dtype or outputs. error: could not be judged.
skipped: declared, with its reason. Names are stable and hold no measured value; the figures are in message
and text.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass, field

from junit_xml import TestCase, TestSuite

from parity.errors import ExitCode
from parity.records.results import CaseResult, OutputResult, PerformanceCheck, Problem, Report, SuiteResult

from . import budget, causes, limits, replay, selection, verdict, wording
from .case_problems import OF_LIMIT, OF_OUTPUT, case_problems
from .escaping import TEXT_LIMIT, lines_of, visible

_TOTALS = ("tests", "failures", "errors")
_LINE = re.compile(r":(\d{1,9}):\d+$")
_NAME_LIMIT = 1_000  # characters; wide, because names have to stay distinct


@dataclass
class _Suite:
    """What the report has under one suite's name: a forged one may have the name twice, or never."""

    records: list[SuiteResult] = field(default_factory=list)
    cases: list[CaseResult] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def render(report: Report) -> str:
    """The report as JUnit XML: by Jenkins' schema, and with `file` and `line` for those who read them."""
    root = ET.Element("testsuites", name="parity")
    found = {name: _Suite() for name in [*(s.name for s in report.suites), *(c.suite for c in report.cases)]}
    for record in report.suites:
        found[record.name].records.append(record)
    for case in report.cases:
        found[case.suite].cases.append(case)
    for entry in selection.unjudged(report):
        found[entry.suite].problems += [entry.problem] if not entry.cases else []
    for name, suite in found.items():
        duration_s = sum(record.duration_s for record in suite.records)
        root.append(_finished(_suite(report, name, suite), duration_s))
    problems = sum(int(element.get(total, "0")) for element in root for total in _TOTALS[1:])
    if not problems and verdict.exit_code(report) is not ExitCode.PASSED:
        # A server that finds neither failure nor error would call the run green.
        whole = TestCase("verdict", classname="parity.verdict")
        whole.add_error_info(message=verdict.headline(report), error_type="verdict")
        root.append(_finished(TestSuite("parity", [whole]), 0))
    for total in _TOTALS:
        root.set(total, str(sum(int(element.get(total, "0")) for element in root)))
    root.set("time", f"{report.duration_s:.3f}")
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _finished(suite: TestSuite, duration_s: float) -> ET.Element:
    """What junit-xml makes of a suite, mended.

    It adds `disabled`, leaves out a time of 0, rounds none, and puts a suite's output before its cases.
    """
    element: ET.Element = suite.build_xml_doc()
    element.attrib.pop("disabled", None)
    element.set("time", f"{duration_s:.3f}")
    for output in element.findall("system-out"):
        element.remove(output)
        element.append(output)
    for case in element.iter("testcase"):
        case.set("time", f"{float(case.get('time', '0')):.3f}")
    return element


def _suite(report: Report, name: str, found: _Suite) -> TestSuite:
    records = found.records
    spec = records[0].spec_file if records else ""
    cases = [entry for case in found.cases for entry in _test_cases(case, spec)]
    for problem in found.problems:
        whole = TestCase("suite", classname=f"{_dotless(name)}.suite", file=visible(spec))
        _add_error(whole, problem)
        cases.append(whole)
    properties = {"specification": spec, "parity": report.tool_version}
    if records:
        properties["numerics"] = records[0].numerics
    said = [f"{side.side}: {note}" for record in records for side in record.sides for note in side.notes]
    return TestSuite(
        visible(name, _NAME_LIMIT),
        cases,
        stdout="\n".join(visible(note, TEXT_LIMIT) for note in dict.fromkeys(said)) or None,
        timestamp=visible(report.started_at),
        properties={key: visible(value) for key, value in properties.items()},
    )


def _test_cases(case: CaseResult, spec: str) -> Iterator[TestCase]:
    place = case.id.removeprefix(f"{case.suite}/")
    classname = f"{_dotless(case.suite)}.{_dotless(place)}"
    # Only the whole case was timed. Its outputs share that, so that a server's sum is right.
    seconds = case.duration_s / max(1, len(case.outputs))
    for output in case.outputs:
        line = output.tolerance.line if output.tolerance else None
        name = visible(output.name, _NAME_LIMIT)
        entry = TestCase(name, classname=classname, elapsed_sec=seconds, file=visible(spec), line=line)
        _add_outcome(entry, case, output, spec)
        yield entry
    for check in case.performance:
        yield _limit(case, check, classname, spec)
    told = (OF_OUTPUT, OF_LIMIT)
    problems = [problem for problem in case_problems(case) if problem.kind not in told]
    if problems or not case.outputs:
        entry = TestCase("case", classname=classname, elapsed_sec=seconds, file=visible(spec))
        for problem in problems:
            _add_error(entry, problem)
        if not problems:
            entry.add_skipped_info(message=_reason(case.problem.message if case.problem else ""))
        yield entry


def _add_outcome(entry: TestCase, case: CaseResult, output: OutputResult, spec: str) -> None:
    facts = [*wording.facts(output, spec), *budget.facts(output), *_diagnosed(output)]
    facts += replay.case_again(case, spec) if output.status == "failed" else []
    text = "\n".join(f"{name}: {visible(told, TEXT_LIMIT)}" for name, told in facts if told)
    problem = visible(output.problem, TEXT_LIMIT)
    match output.status:
        case "passed":
            entry.stdout = text
        case "failed":
            first = visible(_first_cause(output), TEXT_LIMIT)
            message = ": ".join(part for part in (wording.how_far(output), problem, first) if part)
            entry.add_failure_info(message=message or "failed", output=text, failure_type="beyond tolerance")
        case "error":
            entry.add_error_info(message=problem or "not judged", output=text, error_type="not judged")
        case "skipped":
            entry.add_skipped_info(message=_reason(output.problem))


def _limit(case: CaseResult, check: PerformanceCheck, classname: str, spec: str) -> TestCase:
    """A limit of latency or memory; it takes no time of its own, for the outputs share the case's."""
    row = limits.LimitRow(selection.pair_of(case), case.subject, check, case, (case,))
    line = _LINE.search(check.at)
    entry = TestCase(
        check.limit_name, classname=classname, file=visible(spec), line=int(line[1]) if line else None
    )
    text = "\n".join(f"{name}: {visible(told, TEXT_LIMIT)}" for name, told in limits.facts(row) if told)
    match check.status:
        case "failed":
            entry.add_failure_info(limits.title(row), text, "beyond its limit")
        case "passed":
            entry.stdout = text
        case _:
            entry.add_error_info(visible(check.problem, TEXT_LIMIT) or "not judged", text, "not judged")
    return entry


def _diagnosed(output: OutputResult) -> list[tuple[str, str]]:
    """Leg, place, causes, remedies and notes of a diagnosed output, as lines."""
    diagnosis = output.diagnosis
    if diagnosis is None:
        return []
    first = diagnosis.first_divergence
    tensor = [
        ("expected there", causes.statistics(first.expected if first else None)),
        ("found there", causes.statistics(first.found if first else None)),
    ]
    return [
        ("leg", diagnosis.dominant_leg or ""),
        *causes.facts(diagnosis),
        *tensor,
        *causes.note_facts(diagnosis),
    ]


def _first_cause(output: OutputResult) -> str:
    """What a server shows of a failure before anybody opens it."""
    known = output.diagnosis.causes if output.diagnosis else ()
    return causes.reason(known[0]) if known else ""


def _add_error(entry: TestCase, problem: Problem) -> None:
    facts = [("at", problem.at), ("fix", problem.fix)]
    text = [f"{name}: {visible(told, TEXT_LIMIT)}" for name, told in facts if told]
    entry.add_error_info(
        message=visible(problem.message, TEXT_LIMIT) or "not judged",
        output="\n".join([*text, *lines_of(problem.detail)]),
        error_type=visible(problem.kind),
    )


def _reason(text: str) -> str:
    return visible(text, TEXT_LIMIT) or "no reason is given"


def _dotless(text: str) -> str:
    """One part of a class name: consumers split at its dots."""
    return visible(text, _NAME_LIMIT).replace(".", "_")
