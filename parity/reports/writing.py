"""Every report of the registry, into one folder."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Collection
from pathlib import Path

from parity.errors import CannotJudge
from parity.records.results import Report
from parity.registry import REPORTERS, resolve

SOURCE = "results.json"  # all other reports can be made again from it


def write_reports(
    report: Report, directory: Path, names: Collection[str] = tuple(REPORTERS)
) -> dict[str, Path]:
    """Writes the reports called `names`; gives their paths. A reader never sees half a file.

    Raises:
        CannotJudge: the folder can't be written.
    """
    clear_reports(directory, names)
    paths = {}
    for name in sorted(names, key=lambda name: name != SOURCE):  # a fault in another must not lose it
        paths[name] = directory / name
        _write(paths[name], resolve(REPORTERS[name])(report))
    return paths


def clear_reports(directory: Path, names: Collection[str] = tuple(REPORTERS)) -> None:
    """Removes an earlier run's reports: should this run die, they would be read as its verdict.

    Raises:
        CannotJudge: the folder can't be made or written.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name in names:
            (directory / name).unlink(missing_ok=True)
    except OSError as error:
        raise _unwritable(directory, error) from error


def _write(path: Path, text: str) -> None:
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
                file.write(text)
            Path(temporary).chmod(0o644)  # mkstemp's own mode hides it from the other steps of a job
            Path(temporary).replace(path)
        finally:
            Path(temporary).unlink(missing_ok=True)
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> CannotJudge:
    return CannotJudge(
        f"the report can't be written: {error.strerror or error}",
        at=str(path),
        fix="give a folder that can be written: --report-dir DIR",
    )
