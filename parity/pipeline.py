"""The whole way, every stage one short function: plans -> runs -> verdicts -> diagnoses -> report."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path

from msgspec.structs import replace

from parity import __version__, placement
from parity.cases import judge_comparison
from parity.diagnosing import diagnose_cases
from parity.environment import environment
from parity.errors import ExitCode
from parity.execution import Execution, Progress
from parity.records.outcomes import Exported, Loaded, SessionOpened
from parity.records.placement import PlacementRule
from parity.records.plan import SuitePlan, case_id
from parity.records.results import SCHEMA_VERSION, CaseResult, Problem, Report, SideSettings, SuiteResult
from parity.records.runs import ComparisonRun
from parity.reports import verdict

ENDED = "ended"  # the kind of the problem of a suite that was told to end: a signal, Ctrl-C


def run_gate(
    plans: list[SuitePlan], *, select: str = "*", keep: Path | None = None, progress: Progress
) -> Report:
    """Runs every comparison of every suite and judges what came out.

    A run that is told to end still gives a report: of the comparisons it had done, and that it was ended.

    Args:
        plans: one for each specification.
        select: glob over case ids.
        keep: folder for tensors and logs; None: a temporary one, removed at the end.
        progress: told what is going on.
    """
    started, began = datetime.now(UTC), time.monotonic()
    suites: list[SuiteResult] = []
    cases: list[CaseResult] = []
    with run_directory(keep) as directory:
        for number, plan in enumerate(plans):
            suite, judged = run_suite(plan, directory / f"{number}-{plan.name}", select, progress)
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
    return replace(report, exit_code=int(verdict.exit_code(report)))


def run_suite(
    plan: SuitePlan, directory: Path, select: str, progress: Progress
) -> tuple[SuiteResult, list[CaseResult]]:
    """One suite, one comparison after the other, each with workers of its own."""
    began = time.monotonic()
    cases: list[CaseResult] = []
    sides: list[SideSettings] = []
    exports: dict[str, Exported] = {}
    ended: Problem | None = None
    for comparison in plan.comparisons:
        place = directory / comparison.folder
        place.mkdir(parents=True)
        judged: list[CaseResult] = []
        try:
            with Execution(plan, comparison, place, select, progress) as execution:
                run = execution.run()
                progress(f"{plan.name} on {comparison.text}: comparing", len(run.sets), len(run.sets))
                judged = [case for case in judge_comparison(plan, run) if _chosen(case, select)]
                judged = diagnose_cases(plan, run, judged, execution, progress)
        except (KeyboardInterrupt, SystemExit):  # Ctrl-C, or SIGTERM as the command line takes it
            ended = Problem(
                kind=ENDED, message=f"the run was ended while {plan.name} ran on {comparison.text}"
            )
            break
        finally:
            cases.extend(judged)  # with verdicts, if perhaps without a diagnosis
        found = _settings(run, plan.placement)
        sides.extend(side for side in found if side not in sides)  # one may be in several pairs
        exports.update({name: e for name, e in run.exports.items() if isinstance(e, Exported)})
    return (
        SuiteResult(
            name=plan.name,
            spec_file=plan.spec_file,
            numerics=plan.numerics_name,
            sides=tuple(sides),
            exports={name: export.settings for name, export in exports.items()},
            problem=ended or (None if cases else _nothing_compared(plan, select)),
            duration_s=time.monotonic() - began,
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


def _chosen(case: CaseResult, select: str) -> bool:
    # A suite whose inputs could not be made has no real ids to select by: it must not vanish.
    return fnmatchcase(case.id, select) or case.problem is not None


def _nothing_compared(plan: SuitePlan, select: str) -> Problem:
    if select != "*":
        label = plan.comparisons[0].label
        return Problem(
            kind="specification",
            message=f"no case matches {select!r}",
            fix=f"case ids look like {case_id(plan.name, label, 'sample=0', plan.subjects[-1])}",
        )
    return Problem(kind="input", message="nothing was compared", at=plan.at("inputs"), fix="give it inputs")


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
