"""What the steps say to the runner: annotations, groups, outputs; and the exit statuses of the gate."""

from __future__ import annotations

import secrets
import sys
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

PASSED, FAILED, WRONG_SPEC, UNJUDGED, TOOL_DEFECT = range(5)  # as `parity` has them
WORST_FIRST = (TOOL_DEFECT, FAILED, WRONG_SPEC, UNJUDGED, PASSED)


class Stop(Exception):
    """The step ends here, for a reason that its reader can mend."""

    def __init__(self, problem: str, fix: str = "", status: int = UNJUDGED) -> None:
        self.status = status
        super().__init__(f"{problem}\nfix: {fix}" if fix else problem)


def worst(statuses: list[int]) -> int:
    """The one status that stands for many; an unknown one, such as 137 of a kill, is `UNJUDGED`."""
    known = [status if status in WORST_FIRST else UNJUDGED for status in statuses]
    return min(known, key=WORST_FIRST.index) if known else UNJUDGED


def visible(text: str, limit: int = 4_000) -> str:
    """The text with everything escaped that can't be seen or that the runner would obey; keeps line feeds."""
    shown = "".join(
        c if c == "\n" or unicodedata.category(c)[0] != "C" else f"\\x{ord(c):02x}" for c in text[:limit]
    )
    return shown.replace("##[", "## [")


def error(text: str) -> None:
    """An annotation of the run that marks a failure."""
    _annotate("error", text)


def warning(text: str) -> None:
    """An annotation of the run that marks something to look at."""
    _annotate("warning", text)


def say(text: str) -> None:
    """A line of the step's log that is no command, whatever it holds."""
    for line in visible(text).split("\n"):
        # A command has to start its line, so a blank is not enough: the runner trims it.
        _write(f"| {line}" if line.lstrip().startswith("::") else line)


@contextmanager
def group(title: str) -> Iterator[None]:
    """Folds what is printed inside."""
    _write(f"::group::{_data(visible(title))}")
    try:
        yield
    finally:
        _write("::endgroup::")


@contextmanager
def commands_stopped() -> Iterator[None]:
    """Whatever a process prints inside is text to the runner; nobody can guess the word that ends it."""
    word = secrets.token_hex(16)
    _write(f"::stop-commands::{word}")
    try:
        yield
    finally:
        _write(f"\n::{word}::")  # on a line of its own, however the last one ended


def write_outputs(path: Path | None, outputs: Mapping[str, object]) -> None:
    """Appends outputs of the step. A value can't end itself early: nobody can guess the delimiter."""
    if path is None:
        return
    delimiter = f"parity_{secrets.token_hex(16)}"
    with path.open("a", encoding="utf-8", errors="backslashreplace") as file:
        for name, value in outputs.items():
            file.write(f"{name}<<{delimiter}\n{value}\n{delimiter}\n")


def _annotate(level: str, text: str) -> None:
    _write(f"::{level} title=parity::{_data(visible(text))}")


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _write(line: str) -> None:
    sys.stdout.write(f"{line}\n".encode(errors="backslashreplace").decode())
    sys.stdout.flush()
