"""Tables of a run: on the console, and in docs/localization.md."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.table import Table

from .cases import Outcome
from .scoring import FELT, FaultScore, Verdict, shares

DOCUMENT = Path(__file__).parents[2] / "docs" / "localization.md"
Rows = list[list[str]]
_Item = TypeVar("_Item")
SHARES = ["faults", f"> {FELT:g}x", "detected", "node", "or near", "cause"]


def show(console: Console, outcomes: list[Outcome], verdict: Verdict) -> None:
    """All tables, every miss with what was said instead, and the bars."""
    for title, headings, rows in _tables(outcomes, verdict):
        console.print(_rich(title, headings, rows))
    misses = [score for score in verdict.scores if not score.effect <= FELT and score.said]
    if misses:
        planted = {one.case.id: one.planted for one in outcomes}
        console.print(f"[bold]{len(misses)} misses[/bold] (d: detected, n: exact node, c: cause)")
        for score in misses:
            console.print(_miss(score), markup=False, highlight=False)
            told = planted[score.case.id]
            if told:
                console.print(f"    planted {told.cause_kind}: {told.message}", markup=False, highlight=False)
            console.print(f"    said    {score.said}", markup=False, highlight=False)
    for case, said in verdict.sound.items():
        for line in said:
            console.print(f"false alarm {case}: {line}", markup=False, highlight=False)
    for line in verdict.missed:
        console.print(f"MISSED {line}", style="bold red", markup=False, highlight=False)
    if not verdict.missed:
        console.print("all bars met", style="bold green")


def _miss(score: FaultScore) -> str:
    flags = zip("dnc", (score.detected, score.exact, score.cause), strict=True)
    flag = "".join(letter if right else "-" for letter, right in flags)
    return f"  {flag} {score.case.id}  effect {score.effect:.3g}x{'  (a neighbour)' if score.near else ''}"


def write(outcomes: list[Outcome], verdict: Verdict, part: str) -> None:
    """Puts the tables between the markers of this part of the document."""
    parts = [where()]
    for title, headings, rows in _tables(outcomes, verdict):
        parts.append(f"**{title}**\n\n{markdown(headings, rows)}")
    parts.append("Bars: " + ("all met." if not verdict.missed else "; ".join(verdict.missed) + "."))
    replace_part(part, "\n\n".join(parts))


def where() -> str:
    """Date, versions and processor of a run."""
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "onnx", "onnxruntime"))
    return f"{datetime.now(UTC):%Y-%m-%d}, {versions}, {os.cpu_count()} cores of {_processor()}."


def _processor() -> str:
    """The CPU's model name; platform.processor() is empty on many Linux systems."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def replace_part(name: str, content: str) -> None:
    """Puts text between `<!-- name: begin -->` and `<!-- name: end -->`.

    Raises:
        ValueError: the document has no such markers.
    """
    text = DOCUMENT.read_text(encoding="utf-8")
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
    if begin not in text or end not in text:
        raise ValueError(f"{DOCUMENT.name} has no markers of {name!r}")
    head, _, rest = text.partition(begin)
    DOCUMENT.write_text(f"{head}{begin}\n{content}\n\n{end}{rest.partition(end)[2]}", encoding="utf-8")


def markdown(headings: list[str], rows: Rows) -> str:
    """A Markdown table."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _tables(outcomes: list[Outcome], verdict: Verdict) -> list[tuple[str, list[str], Rows]]:
    by_fault = _groups(verdict.scores, lambda score: score.case.name)
    faults = [[name, *_share_cells(scores)] for name, scores in sorted(by_fault.items())]
    faults.append(["all", *_share_cells(verdict.scores)])
    combined: Rows = []
    for title, group in _groups(outcomes, lambda one: one.case.combination.title).items():
        scores = [score for score in verdict.scores if score.case.combination.title == title]
        combined.append([title, *_share_cells(scores), _alarm_cell(verdict, title), *_cost_cells(group)])
    combined.sort()
    combined.append(["all", *_share_cells(verdict.scores), _alarm_cell(verdict, ""), *_cost_cells(outcomes)])
    costs = ["false alarms", "median", "greatest", "memory"]
    variants = _groups(verdict.sound.items(), lambda item: item[0].split("/")[3])
    sound = [
        [name, str(len(items)), str(sum(1 for _, said in items if said))] for name, items in variants.items()
    ]
    return [
        ("By network and exporter", ["network", *SHARES, *costs], combined),
        ("By fault", ["fault", *SHARES], faults),
        ("Sound files", ["variant", "files", "false alarms"], sorted(sound)),
    ]


def _groups(items: Iterable[_Item], key: Callable[[_Item], str]) -> dict[str, list[_Item]]:
    groups: dict[str, list[_Item]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


def _share_cells(scores: Iterable[FaultScore]) -> list[str]:
    found = shares(scores)
    figures = (found.detected, found.exact, found.near, found.cause)
    return [str(found.planted), str(found.felt), *("" if one is None else percent(one) for one in figures)]


def percent(share: float) -> str:
    """Never rounded to 100 %."""
    return "100 %" if share == 1 else f"{min(100 * share, 99.9):.1f} %"


def _alarm_cell(verdict: Verdict, title: str) -> str:
    said = [lines for case, lines in verdict.sound.items() if case.startswith(f"{title}/") or not title]
    return f"{sum(1 for lines in said if lines)} of {len(said)}"


def _cost_cells(outcomes: list[Outcome]) -> list[str]:
    done = [one for one in outcomes if one.status == "done"]
    if not done:
        return ["", "", ""]
    seconds = [one.seconds for one in done]
    peak = max(one.peak_bytes for one in done) / 2**20
    return [f"{statistics.median(seconds):.2f} s", f"{max(seconds):.2f} s", f"{peak:.0f} MiB"]


def _rich(title: str, headings: list[str], rows: Rows) -> Table:
    table = Table(title=title, title_justify="left")
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="right" if number else "left", no_wrap=number == 0)
    for row in rows:
        table.add_row(*row, end_section=row is rows[-2] if len(rows) > 1 else False)
    return table
