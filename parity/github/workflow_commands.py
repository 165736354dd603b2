"""Lines on stdout that the runner obeys, and the means that keep it from obeying any other.

The runner takes ``::name key=value::message`` at the start of a line, leading blanks aside, and
``##[name]message`` anywhere in a line.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, TextIO

from parity.reports.escaping import visible

Level = Literal["error", "warning", "notice"]

MESSAGE_LIMIT = 4_000  # characters; GitHub cuts an annotation at 4,096
TITLE_LIMIT = 200

_DATA = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_PROPERTY = {**_DATA, ":": "%3A", ",": "%2C"}


def escape_data(text: str) -> str:
    """The text as a command's message."""
    return "".join(_DATA.get(c, c) for c in text)


def escape_property(text: str) -> str:
    """The text as the value of one of a command's properties."""
    return "".join(_PROPERTY.get(c, c) for c in text)


def command(name: str, message: str, properties: dict[str, str | int | None] | None = None) -> str:
    """One line without its line feed; a property without a value is left out.

    Message and properties may hold anything: each of their lines is made visible, then escaped.
    """
    told = [
        f"{key}={escape_property(visible(str(value), TITLE_LIMIT))}"
        for key, value in (properties or {}).items()
        if value not in (None, "")
    ]
    lines = "\n".join(visible(line, MESSAGE_LIMIT) for line in message.splitlines())
    head = f"{name} {','.join(told)}" if told else name
    return f"::{head}::{escape_data(lines[:MESSAGE_LIMIT])}"


def warning(message: str) -> str:
    """A warning that belongs to no file."""
    return command("warning", message, {"title": "parity"})


@contextmanager
def commands_stopped(stream: TextIO) -> Iterator[None]:
    """Whatever is printed inside is text to the runner; nobody can guess the word that ends it."""
    word = secrets.token_hex(16)
    print(f"::stop-commands::{word}", file=stream, flush=True)
    try:
        yield
    finally:
        print(f"\n::{word}::", file=stream, flush=True)  # at the start of a line, however the last one ended
