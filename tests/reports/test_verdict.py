from __future__ import annotations

import pytest
from support import reports as made

from parity.errors import ExitCode
from parity.records.results import Problem, Report
from parity.reports.verdict import exit_code, headline


@pytest.mark.parametrize(
    ("report", "code", "line"),
    [
        (made.green(), 0, "13 outputs within tolerance"),
        (made.green_sets(), 0, "13 outputs within tolerance"),
        (made.one_fault(), 1, "2 of 13 outputs beyond tolerance"),
        (made.red(), 1, "8 of 13 outputs beyond tolerance"),
        (
            made.errors(),
            3,
            "30 of 34 cases and 1 suite could not be judged, 12 outputs within tolerance, 1 skipped",
        ),
        (made.wrong_spec(), 2, "1 suite could not be judged, nothing was compared"),
        (made.report((), 3, ()), 3, "nothing was compared"),
        (made.report((), 4, ()), 4, "a defect of parity itself, nothing was compared"),
    ],
)
def test_one_line_and_one_status(report: Report, code: int, line: str) -> None:
    assert exit_code(report) == code
    assert headline(report) == line


def skipped() -> Report:
    reason = Problem(kind="input", message="declared")
    return made.report((made.case("model", (), status="skipped", problem=reason),), 0)


@pytest.mark.parametrize(
    ("forged", "code"),
    [
        (made.replaced(made.one_fault(), exit_code=0), ExitCode.FAILED),
        (made.replaced(made.errors(), exit_code=0), ExitCode.UNJUDGED),
        (made.replaced(made.wrong_spec(), exit_code=0), ExitCode.WRONG_SPEC),
        (made.report((), 0, ()), ExitCode.UNJUDGED),
        (made.report((), 0), ExitCode.UNJUDGED),
        (skipped(), ExitCode.UNJUDGED),
        (made.report((made.case("model", ()),), 0), ExitCode.TOOL_DEFECT),
        (made.report((made.case("model", (), status="failed"),), 0), ExitCode.TOOL_DEFECT),
        (made.report((made.case("model", (), status="error"),), 0), ExitCode.TOOL_DEFECT),
        (
            made.report((*made.centerpoint_cases(), made.case("x", (made.not_a_number(),))), 0),
            ExitCode.FAILED,
        ),
        (
            made.report(made.centerpoint_cases(), 0, (made.suite(), made.suite(name="never ran"))),
            ExitCode.UNJUDGED,
        ),
    ],
)
def test_a_recorded_pass_that_its_cases_contradict_is_none(forged: Report, code: ExitCode) -> None:
    assert exit_code(forged) is code
    assert headline(forged) != "13 outputs within tolerance"


def test_a_recorded_failure_is_never_softened() -> None:
    for code in (1, 2, 3, 4):
        assert exit_code(made.replaced(made.green(), exit_code=code)) == code
