"""The whole way, every stage one short function: plans -> runs -> verdicts -> diagnoses -> report."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from msgspec.structs import replace

from parity import __version__, placement
from parity.cases import judge_comparison
from parity.comparing import UnderWay, finish_together, waves
from parity.environment import environment
from parity.errors import ExitCode
from parity.execution import Progress
from parity.judging.growth import held_against, no_comparison
from parity.records.outcomes import Exported, Loaded, SessionOpened
from parity.records.placement import PlacementRule
from parity.records.plan import SuitePlan, case_id, selects
from parity.records.results import (
    SCHEMA_VERSION,
    BaselineResult,
    CaseResult,
    Problem,
    Report,
    SideSettings,
    SuiteResult,
)
from parity.records.runs import ComparisonRun
from parity.reports import selection, verdict
from parity.reproducing import save_repros

ENDED = "ended"  # the kind of the problem of a suite that was told to end: a signal, Ctrl-C


def run_gate(
    plans: list[SuitePlan],
    *,
    select: str = "*",
    keep: Path | None = None,
    report_dir: Path | None = None,
    progress: Progress,
) -> Report:
    """Runs every comparison of every suite and judges what came out.

    A run that is told to end still gives a report: of the comparisons it had done, and that it was ended.

    Args:
        plans: one for each specification.
        select: a case's id, or a glob over them.
        keep: folder for tensors and logs; None: a temporary one, removed at the end.
        report_dir: where the worst failed cases are saved, to be run again; None: nowhere.
        progress: told what is going on.
    """
    started, began = datetime.now(UTC), time.monotonic()
    suites: list[SuiteResult] = []
    cases: list[CaseResult] = []
    with run_directory(keep) as directory:
        for number, plan in enumerate(plans):
            suite, judged = run_suite(plan, directory / f"{number}-{plan.name}", select, progress, report_dir)
            suites.append(suite)
            cases.extend(judged)
            if suite.problem is not None and suite.problem.kind == ENDED:
                break
    report = Report(
        schema_version=SCHEMA_VERSION,
        tool_version=__version__,
        started_at=started.isoformat(timespec="seconds"),
        duration_s=time.monotonic() - began,
        exit_code=ExitCode.PASSED,
        environment=environment(),
        suites=tuple(suites),
        cases=tuple(cases),
    )
    return replace(report, exit_code=int(verdict.exit_code(report)), worst=selection.worst_cases(report))


def run_suite(
    plan: SuitePlan, directory: Path, select: str, progress: Progress, report_dir: Path | None = None
) -> tuple[SuiteResult, list[CaseResult]]:
    """One suite; each of its comparisons has workers of its own."""
    began = time.monotonic()
    cases: list[CaseResult] = []
    sides: list[SideSettings] = []
    exports: dict[str, Exported] = {}
    ended: Problem | None = None

    def judge(run: ComparisonRun) -> list[CaseResult]:
        judged = [case for case in judge_comparison(plan, run) if _chosen(case, select)]
        judged = [held_against(case, plan.baseline) for case in judged]
        return judged if report_dir is None else save_repros(plan, run, judged, report_dir)

    for wave in waves(plan):
        under_way = [
            UnderWay(plan, comparison, _made(directory / comparison.folder), select, judge, progress)
            for comparison in wave
        ]
        try:
            finish_together(under_way)
        except (KeyboardInterrupt, SystemExit):  # Ctrl-C, or SIGTERM as the command line takes it
            where = " and ".join(comparison.text for comparison in wave)
            ended = Problem(kind=ENDED, message=f"the run was ended while {plan.name} ran on {where}")
        for one in under_way:
            cases.extend(one.cases)  # with verdicts, after an end perhaps without a diagnosis
            if one.run is not None:
                found = _settings(one.run, plan.placement)
                sides.extend(side for side in found if side not in sides)  # one may be in several pairs
                exports.update({name: e for name, e in one.run.exports.items() if isinstance(e, Exported)})
        if ended:
            break
    return (
        SuiteResult(
            name=plan.name,
            spec_file=plan.spec_file,
            numerics=plan.numerics_name,
            sides=tuple(sides),
            exports={name: export.settings for name, export in exports.items()},
            problem=ended or _compared_in_vain(plan, cases, select),
            duration_s=time.monotonic() - began,
            baseline=_baseline(plan),
        ),
        cases,
    )


@contextmanager
def run_directory(keep: Path | None) -> Iterator[Path]:
    """A folder for tensors and logs, removed at the end unless the caller wants to keep it."""
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep
        return
    directory = Path(tempfile.mkdtemp(prefix="parity-"))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _made(directory: Path) -> Path:
    directory.mkdir(parents=True)
    return directory


def _chosen(case: CaseResult, select: str) -> bool:
    # A suite whose inputs could not be made has no real ids to select by: it must not vanish.
    return selects(select, case.id) or case.problem is not None


def _compared_in_vain(plan: SuitePlan, cases: list[CaseResult], select: str) -> Problem | None:
    """Why the verdicts of a suite say nothing, whatever they are."""
    if not cases:
        return _nothing_compared(plan, select)
    return no_comparison(plan, cases) or _only_empty(plan, cases)


def _nothing_compared(plan: SuitePlan, select: str) -> Problem:
    if select != "*":
        label = plan.comparisons[0].label
        return Problem(
            kind="specification",
            message=f"no case matches {select!r}",
            fix=f"case ids look like {case_id(plan.name, label, 'sample=0', plan.subjects[-1])}",
        )
    return Problem(kind="input", message="nothing was compared", at=plan.at("inputs"), fix="give it inputs")


def _only_empty(plan: SuitePlan, cases: list[CaseResult]) -> Problem | None:
    """Tensors without elements are alike whatever the models compute: a suite of them alone shows nothing."""
    measured = [output.measurement for case in cases for output in case.outputs]
    if any(case.status != "passed" for case in cases) or any(m is None or m.elements for m in measured):
        return None
    return Problem(
        kind="input",
        message="nothing was compared: no output has an element",
        at=plan.at("inputs"),
        fix="add inputs of another size: a dimension is 0",
    )


def _baseline(plan: SuitePlan) -> BaselineResult | None:
    asked = plan.baseline
    if asked is None:
        return None
    return BaselineResult(file=asked.file, max_growth=asked.max_growth, fail=asked.fail)


def _settings(run: ComparisonRun, rule: PlacementRule) -> Iterator[SideSettings]:
    """The effective settings of both sides, as the frameworks themselves report them."""
    reference, candidate = placement.placements(run)
    sessions = {
        f"{name}: {key}" if len(run.sessions) > 1 else key: value
        for name, session in run.sessions.items()
        if isinstance(session, SessionOpened)
        for key, value in session.settings.items()
    }
    sides = run.comparison
    for side, loaded, more, placed in (
        (sides.reference, run.reference, {}, reference),
        (sides.candidate, run.candidate, sessions, candidate),
    ):
        if isinstance(loaded, Loaded):
            yield SideSettings(
                side=side.text,
                device_name=loaded.device,
                settings={**loaded.settings, **more},
                versions=loaded.versions,
                notes=(*loaded.notes, *placement.notes(placed, rule)),
                placements=placed,
            )
