"""`results.json`: the one source of every other report. docs/results.md explains it to its readers."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from parity.errors import CannotJudge, ExitCode
from parity.records.results import SCHEMA_VERSION, Report

SIZE_LIMIT = 64 * 2**20  # bytes; a report of 10,000 cases with ten outputs each stays below
_SCHEMA_ID = "https://json-schema.org/draft/2020-12/schema"


class _Header(msgspec.Struct):
    """What a results file of any version has."""

    schema_version: int
    tool_version: str = "unknown"


def render(report: Report) -> str:
    """The report as JSON: indented, keys in the order of the records, so that two files can be diffed.

    Raises:
        ValueError: the report holds a number that is not finite where the records ask for one.
    """
    try:
        encoded = msgspec.json.encode(report)
    except UnicodeEncodeError:  # a lone surrogate in a name that user code made
        encoded = msgspec.json.encode(_without_surrogates(msgspec.to_builtins(report)))
    # msgspec writes NaN and infinity as null: what can't be read back must not be written.
    msgspec.json.decode(encoded, type=Report)
    return msgspec.json.format(encoded, indent=2).decode() + "\n"


def parse(data: str | bytes, at: str = "") -> Report:
    """The report that `data` holds. It may come from an untrusted machine: all of it is validated.

    `at` names the file in errors.

    Raises:
        CannotJudge: too large, no JSON, another version, or not what the schema asks for.
    """
    again = "run the gate again, or give the results.json that `parity run` wrote"
    try:
        raw = data.encode() if isinstance(data, str) else data
        if len(raw) > SIZE_LIMIT:
            raise CannotJudge(
                f"the results are larger than the {SIZE_LIMIT / 2**20:g} MiB that are read", at=at, fix=again
            )
        header = msgspec.json.decode(raw, type=_Header)
        if header.schema_version != SCHEMA_VERSION:
            raise CannotJudge(
                f"the results are of schema version {header.schema_version}, not {SCHEMA_VERSION}",
                at=at,
                fix=f"use the version of parity that wrote them: {header.tool_version[:40]!r}",
            )
        report = msgspec.json.decode(raw, type=Report)
        ExitCode(report.exit_code)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise CannotJudge(f"these are no results of parity: {error}", at=at, fix=again) from error
    return report


def schema() -> str:
    """The JSON Schema (draft 2020-12) of results.json, as docs/results.schema.json has it."""
    (reference,), components = msgspec.json.schema_components([Report], ref_template="#/$defs/{name}")
    document: dict[str, Any] = {
        "$schema": _SCHEMA_ID,
        "title": f"Results of parity, version {SCHEMA_VERSION}",
        **reference,
        "$defs": components,
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _without_surrogates(value: Any) -> Any:
    match value:
        case str():
            return value.encode("utf-8", "backslashreplace").decode()
        case dict():
            return {_without_surrogates(key): _without_surrogates(item) for key, item in value.items()}
        case list() | tuple():
            return [_without_surrogates(item) for item in value]
        case _:
            return value
