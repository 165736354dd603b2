"""The two files that a step writes for GitHub: its summary and its outputs."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path

from parity.reports.escaping import visible

SUMMARY_LIMIT = 900 * 1024  # bytes a step; GitHub drops a summary of more than 1 MiB whole
_SMALLEST_SUMMARY = 4 * 1024


def summary_room(path: Path) -> int:
    """Bytes that the step's summary still takes; 0 where a report would have to be cut beyond use."""
    room = SUMMARY_LIMIT - (path.stat().st_size if path.exists() else 0) - 1
    return room if room >= _SMALLEST_SUMMARY else 0


def append_summary(path: Path, markdown: str) -> None:
    """Adds the Markdown to what the step's summary holds already, on a line of its own.

    Raises:
        OSError: the file can't be written.
    """
    with path.open("ab+") as file:
        if file.tell():
            file.seek(-1, 2)
            if file.read(1) != b"\n":
                file.write(b"\n")
        file.write(markdown.encode(errors="backslashreplace"))


def append_outputs(path: Path, outputs: Mapping[str, str]) -> None:
    """Adds outputs of the step; a later one of a name takes the place of an earlier one.

    A value can't end itself early and set another output: nobody can guess the delimiter.

    Raises:
        OSError: the file can't be written.
    """
    delimiter = f"parity_{secrets.token_hex(16)}"
    text = "".join(
        f"{name}<<{delimiter}\n{visible(value, 1_000)}\n{delimiter}\n" for name, value in outputs.items()
    )
    with path.open("ab") as file:
        file.write(text.encode(errors="backslashreplace"))
