"""`parity report RESULT`: every report again, from saved results."""

from __future__ import annotations

from pathlib import Path

from parity.errors import CannotJudge, ExitCode, SpecError


def run(results_path: str, report_dir: str) -> ExitCode:
    """Reads a results.json, writes the other reports into `report_dir`, and prints the one for people.

    Returns:
        The exit status that the results ask for: that of the run they come from.

    Raises:
        SpecError: there is no such file.
        CannotJudge: the file holds no results, or the reports can't be written.
    """
    from parity.registry import REPORTERS
    from parity.reports import results, verdict
    from parity.reports.console import print_report
    from parity.reports.writing import SOURCE, write_reports

    report = results.parse(_read(Path(results_path), results.SIZE_LIMIT), at=results_path)
    paths = write_reports(report, Path(report_dir), [name for name in REPORTERS if name != SOURCE])
    print_report(report, paths)
    return verdict.exit_code(report)


def _read(path: Path, limit: int) -> bytes:
    """The file, or as much of it as tells that it is too large."""
    try:
        with path.open("rb") as file:
            return file.read(limit + 1)
    except FileNotFoundError as error:
        raise SpecError(
            "there is no such file", at=str(path), fix="give the results.json that `parity run` wrote"
        ) from error
    except OSError as error:
        raise CannotJudge(f"the results can't be read: {error.strerror or error}", at=str(path)) from error
