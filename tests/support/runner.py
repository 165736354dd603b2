"""What GitHub's runner makes of a step's output and of the files that a step writes.

Written from the runner's source (ActionCommand.cs, ActionCommandManager.cs, FileCommandManager.cs, v2.336.0).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_KNOWN = {
    "error",
    "warning",
    "notice",
    "debug",
    "group",
    "endgroup",
    "add-mask",
    "set-output",
    "stop-commands",
}
_KNOWN |= {"set-env", "add-path", "save-state", "add-matcher", "remove-matcher", "echo"}
_DATA = (("%0D", "\r"), ("%0A", "\n"), ("%25", "%"))
_PROPERTY = (("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%"))
_LEGACY = (("%3B", ";"), ("%0D", "\r"), ("%0A", "\n"), ("%5D", "]"), ("%25", "%"))


@dataclass(frozen=True)
class Command:
    name: str
    properties: dict[str, str]
    message: str


def parse(output: str) -> list[Command]:
    """The commands that the runner obeys, without those that stop and resume."""
    obeyed: list[Command] = []
    stopped = ""
    for line in re.split("\r\n|\r|\n", output):
        found = _current(line, {stopped} if stopped else _KNOWN) or _legacy(
            line, {stopped} if stopped else _KNOWN
        )
        if found is None:
            continue
        if stopped:
            stopped = ""
        elif found.name == "stop-commands":
            stopped = found.message
        else:
            obeyed.append(found)
    return obeyed


def read_outputs(text: str) -> dict[str, str]:
    """The outputs that a step's GITHUB_OUTPUT sets; a later one of a name wins."""
    values: dict[str, str] = {}
    lines = iter(text.split("\n"))
    for line in lines:
        if not line:
            continue
        heredoc, equals = line.find("<<"), line.find("=")
        if equals >= 0 and (heredoc < 0 or equals < heredoc):
            name, _, values[name] = line.partition("=")
            continue
        assert heredoc > 0, f"Invalid format '{line}'"
        name, _, delimiter = line.partition("<<")
        values[name] = "\n".join(_until(lines, delimiter))
    return values


def _until(lines: Iterator[str], delimiter: str) -> Iterator[str]:
    for line in lines:
        if line == delimiter:
            return
        yield line
    raise AssertionError(f"Matching delimiter not found '{delimiter}'")


def _current(line: str, known: set[str]) -> Command | None:
    """``::name key=value,key=value::message``."""
    found = re.match(r"::(?P<head>.*?)::(?P<data>.*)$", line.strip(), re.DOTALL)
    return _command(found, known, ",", _PROPERTY, _DATA) if found else None


def _legacy(line: str, known: set[str]) -> Command | None:
    """``##[name key=value;key=value]message``, anywhere in a line."""
    found = re.search(r"##\[(?P<head>[^\]]*)\](?P<data>.*)$", line, re.DOTALL)
    return _command(found, known, ";", _LEGACY, _LEGACY) if found else None


def _command(
    found: re.Match[str],
    known: set[str],
    separator: str,
    of_property: tuple[tuple[str, str], ...],
    of_data: tuple[tuple[str, str], ...],
) -> Command | None:
    name, _, rest = found["head"].strip().partition(" ")
    if name.lower() not in {entry.lower() for entry in known}:
        return None
    pairs = [entry.partition("=") for entry in rest.strip().split(separator) if entry]
    properties = {key.strip(): _unescaped(value, of_property) for key, _, value in pairs if value}
    return Command(name, properties, _unescaped(found["data"], of_data))


def _unescaped(text: str, escapes: tuple[tuple[str, str], ...]) -> str:
    for escape, character in escapes:
        text = text.replace(escape, character)
    return text
