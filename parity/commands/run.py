"""`parity run`: the gate."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from parity.commands.check import load_plans
from parity.errors import ExitCode, SpecError
from parity.pipeline import run_gate
from parity.records.plan import DiagnoseWhen
from parity.reports.console import ProgressView, print_report
from parity.reports.writing import clear_reports, write_reports


def run(
    specs: list[str],
    *,
    devices: tuple[str, ...] | None,
    report_dir: Path,
    select: str,
    keep: Path | None,
    diagnose: DiagnoseWhen | None = None,
) -> ExitCode:
    """Runs every specification and writes the reports.

    Args:
        specs: paths of specification files; all of them are read before anything runs.
        devices: instead of those of the specifications.
        report_dir: made when it is missing.
        select: glob over case ids.
        diagnose: when outputs get an error budget, instead of what the specifications say.
        keep: where to keep tensors and logs; None removes them.

    Raises:
        SpecError: a specification is wrong, or `keep` holds something; nothing has run.
    """
    plans = load_plans(specs, devices)
    if diagnose is not None:
        plans = [replace(plan, diagnose=diagnose) for plan in plans]
    _check_empty(keep)
    clear_reports(report_dir)
    with ProgressView() as view:
        report = run_gate(plans, select=select, keep=keep, progress=view.update)
    paths = write_reports(report, report_dir)
    print_report(report, paths)
    return ExitCode(report.exit_code)


def _check_empty(keep: Path | None) -> None:
    """Tensors of an earlier run must not be taken for this one's."""
    if keep is not None and keep.exists() and (not keep.is_dir() or any(keep.iterdir())):
        raise SpecError(f"{keep} is there already and not an empty folder", at="--keep", fix="name a new one")
