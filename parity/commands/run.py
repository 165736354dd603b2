"""`parity run`: the gate."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path

from msgspec.structs import replace

from parity.baselines import check_writable, write_baseline
from parity.commands.check import BaselineOptions, load_plans
from parity.errors import ExitCode, SpecError
from parity.pipeline import run_gate
from parity.records.plan import SAVE_IN_REPORTS, DiagnoseWhen, SuitePlan
from parity.records.results import Report
from parity.reports.console import ProgressView, print_report
from parity.reports.escaping import visible
from parity.reports.writing import clear_reports, write_reports
from parity.reproducing import clear_repros


@dataclass(frozen=True)
class Options:
    """What `parity run` and `parity diagnose` both take.

    Args:
        devices: instead of those of the specifications.
        report_dir: made when it is missing.
        select: a case's id, or a glob over them.
        keep: where to keep tensors and logs; None removes them.
        export_dir: where ONNX files are exported to, for a workspace that can't be written; None: where the
            specifications say.
        baseline: what errors are held against, or where they are written.
    """

    devices: tuple[str, ...] | None
    report_dir: Path
    select: str
    keep: Path | None
    export_dir: Path | None = None
    baseline: BaselineOptions = field(default_factory=BaselineOptions)


def run(
    specs: list[str],
    options: Options,
    *,
    diagnose: DiagnoseWhen | None = None,
    all_budgets: bool = False,
) -> ExitCode:
    """Runs every specification and writes the reports.

    Args:
        specs: paths of specification files; all of them are read before anything runs.
        options: of the command line.
        diagnose: when outputs get an error budget, instead of what the specifications say.
        all_budgets: print every error budget, also of outputs within tolerance.

    Raises:
        SpecError: a specification or a baseline is wrong, or something else is where the tensors or a new
            baseline are to be kept; nothing has run.
    """
    plans = load_plans(specs, options.devices, options.baseline)
    if diagnose is not None:
        plans = [replace(plan, diagnose=diagnose) for plan in plans]
    if options.export_dir is not None:
        plans = [_exported_to(options.export_dir / str(i), plan) for i, plan in enumerate(plans)]
    optimized = options.report_dir.resolve() / "optimized"
    plans = [_saved_in(optimized, plan) for plan in plans]
    _check_empty(options.keep)
    if options.baseline.write is not None:
        _check_whole(options.select)
        check_writable(options.baseline.write)
    clear_reports(options.report_dir)
    clear_repros(options.report_dir)
    shutil.rmtree(optimized, ignore_errors=True)  # of an earlier run
    with ProgressView() as view:
        report = run_gate(
            plans,
            select=options.select,
            keep=options.keep,
            report_dir=options.report_dir,
            progress=view.update,
        )
    paths = write_reports(report, options.report_dir)
    print_report(report, paths, diagnosed=all_budgets)
    if options.baseline.write is not None:
        _write_baseline(report, options.baseline.write)
    return ExitCode(report.exit_code)


def _saved_in(directory: Path, plan: SuitePlan) -> SuitePlan:
    """The plan with the folder for optimized graphs, where the specification leaves it to the reports."""
    if plan.save_optimized != SAVE_IN_REPORTS:
        return plan
    return replace(plan, save_optimized=str(directory / plan.name))


def _exported_to(directory: Path, plan: SuitePlan) -> SuitePlan:
    """The plan with the files that it exports in a folder for each component: two may have one name."""
    moved = [
        replace(component, onnx=str(directory.resolve() / component.name / Path(component.onnx).name))
        if component.export
        else component
        for component in plan.components
    ]
    return replace(plan, components=tuple(moved))


def _check_whole(select: str) -> None:
    if select != "*":
        raise SpecError(
            "a baseline of some cases alone would lose the others",
            at="--write-baseline",
            fix="leave out --case",
        )


def _write_baseline(report: Report, path: Path) -> None:
    """Only of a run that passed: later errors must not be held against a fault."""
    passed = report.exit_code == ExitCode.PASSED
    if passed:
        write_baseline(report, path)
    said = f"baseline written to {path}" if passed else f"no baseline is written: {path} is as it was"
    print(f"parity: {visible(said)}")  # noqa: T201


def _check_empty(keep: Path | None) -> None:
    """Tensors of an earlier run must not be taken for this one's."""
    if keep is not None and keep.exists() and (not keep.is_dir() or any(keep.iterdir())):
        raise SpecError(f"{keep} is there already and not an empty folder", at="--keep", fix="name a new one")
