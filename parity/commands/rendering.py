"""Errors on the terminal: each with the line that it is about and a caret under the place."""

from __future__ import annotations

import os
import re
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from parity.errors import ParityError, SpecErrors
from parity.reports.escaping import visible

_PLACE = re.compile(r"(.+):(\d+):(\d+)", re.DOTALL)
_LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")  # as YAML counts lines
_WINDOW = 100  # characters of a source line that are shown
_READ_LIMIT = 2 * 1024 * 1024
_TEXT_LIMIT = 2_000  # characters of a message

_BOLD, _RED, _DIM, _GREEN, _RESET = "\x1b[1m", "\x1b[31m", "\x1b[2m", "\x1b[32m", "\x1b[0m"


def print_error(error: ParityError, stream: TextIO | None = None) -> None:
    """Prints an error, or each of several, to stderr unless told otherwise; in colour on a terminal."""
    stream = stream or sys.stderr
    prepare(stream)
    print(render(error, colour=wants_colour(stream)), file=stream)


def render(error: ParityError, *, colour: bool = False) -> str:
    """An error, or each of several, as text of several lines without a line feed at the end."""
    errors = error.errors if isinstance(error, SpecErrors) else (error,)
    return "\n".join(line for one in errors for line in _lines(one, colour=colour))


def wants_colour(stream: TextIO) -> bool:
    """Whether `stream` is a terminal whose user has not opted out of colours."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def prepare(stream: TextIO) -> None:
    """Makes sure that no character of a message ends the program where the locale does not have it."""
    if (reconfigure := getattr(stream, "reconfigure", None)) is not None:
        reconfigure(errors="backslashreplace")


def green(text: str, *, colour: bool) -> str:
    """The text in green, where there are colours."""
    return _styled(text, _GREEN, colour)


def _lines(error: ParityError, *, colour: bool) -> Iterator[str]:
    place = visible(error.at, _TEXT_LIMIT)
    problem = _styled(visible(error.problem, _TEXT_LIMIT), _RED, colour)
    yield f"{_styled(f'{place}:', _BOLD, colour)} {problem}" if place else problem
    for line in _excerpt(error.at):
        yield _styled(line, _DIM, colour)
    if error.fix:
        yield f"  fix: {visible(error.fix, _TEXT_LIMIT)}"


def _excerpt(at: str) -> Iterator[str]:
    """The line that ``file:line:column`` names, with a caret under the column; nothing for another place."""
    found = _PLACE.fullmatch(at)
    if not found:
        return
    number, column = int(found[2]), int(found[3])
    try:
        with Path(found[1]).open("rb") as file:
            text = file.read(_READ_LIMIT).decode("utf-8-sig", "replace")
    except (OSError, ValueError):  # what went wrong is told already
        return
    lines = _LINE_BREAK.split(text)
    if not 1 <= number <= len(lines) or not lines[number - 1].strip():
        return
    source, index = lines[number - 1], column - 1
    start = max(0, index - _WINDOW // 2) if len(source) > _WINDOW else 0
    before, after = source[start:index], source[index : start + _WINDOW]
    shown = _cells(before), _cells(after)
    gutter = f"  {number} | "
    yield f"{gutter}{shown[0]}{shown[1]}".rstrip()
    yield f"{' ' * (len(gutter) - 2)}| {' ' * sum(map(_width, shown[0]))}^"


def _cells(text: str) -> str:
    """The text with one visible character for each of its own, so that the caret stays under its column."""
    return "".join(" " if c == "\t" else c if unicodedata.category(c)[0] != "C" else "\ufffd" for c in text)


def _width(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _styled(text: str, style: str, colour: bool) -> str:
    return f"{style}{text}{_RESET}" if colour else text
