"""Rows as Markdown, and their place in docs/models.md."""

from __future__ import annotations

import re
from collections.abc import Sequence

from models.running import NOISE_FACTOR, Row

BAD = ("failed", "not judged")


def table(rows: Sequence[Row]) -> str:
    """The counts, one line for each row, and the reasons of those without a verdict."""
    judged = [row for row in rows if row.verdict in ("passed", "failed")]
    passed = [row for row in judged if row.verdict == "passed"]
    largest = max((_multiple(row) for row in passed), default=0.0)
    count = len({row.architecture for row in rows})
    lines = [
        f"{count} architectures, {len(rows)} exports: {len(passed)} of {len(judged)} that exported are "
        f"within {NOISE_FACTOR} x their noise floor, the largest at {largest:.1f} x.",
        "",
        "| architecture | what | loader | exporter | parameters | output | difference | noise floor "
        "| multiple | verdict | seconds |",
        "| --- | --- | --- | --- | ---: | --- | ---: | ---: | ---: | --- | ---: |",
        *(_line(row) for row in rows),
    ]
    reasons = [
        f"- {row.architecture} by {row.exporter}, {row.verdict}: {_plain(row.why)}" for row in rows if row.why
    ]
    return "\n".join([*lines, *(["", *reasons] if reasons else []), ""])


def put(page: str, name: str, text: str) -> str:
    """The page with the text between its marks ``<!-- begin name -->`` and ``<!-- end -->``."""
    made, count = re.subn(
        rf"(<!-- begin {name} -->\n).*?(<!-- end -->)",
        lambda found: f"{found[1]}{text}{found[2]}",
        page,
        flags=re.DOTALL,
    )
    if count != 1:
        raise ValueError(f"the page has {count} places for {name!r}")
    return made


def _line(row: Row) -> str:
    figures = (
        f"`{row.output}` | {row.difference:.2g} | {row.floor:.2g} | {_multiple(row):.1f}"
        if row.output
        else " | | | "
    )
    return (
        f"| {row.architecture} | {row.kind} | {row.loader} | {row.exporter} | {row.parameters:,} "
        f"| {figures} | {row.verdict} | {row.seconds:.0f} |"
    )


def _multiple(row: Row) -> float:
    return row.difference / row.floor if row.floor else 0.0


def _plain(text: str) -> str:
    """One line of it: reasons come in pages."""
    first = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return first.replace("|", "\\|")[:400]
