"""What is wrong, in full: one block for each failed output and for each thing that could not be judged."""

from __future__ import annotations

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.segment import Segment
from rich.style import Style
from rich.table import Table
from rich.text import Text

from parity.records.results import Report

from . import budget, selection, wording
from .escaping import lines_of, visible
from .selection import OutputRow, Unjudged

_STYLES = {"mostly": "bold"}  # of facts that are looked for first
_LIMITS = {"unknown": 240}  # characters: a reason may be a whole traceback


class Marked:
    """A renderable behind a mark, and behind a rule from its second line on.

    It can be told from what is around it, and no text of it stands at the start of a line.
    """

    def __init__(self, inside: RenderableType, mark: str, style: str) -> None:
        self._inside, self._mark, self._style = inside, mark, Style.parse(style)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Lines of the renderable with the mark before the first, the rule before the others."""
        inner = options.update(width=max(20, options.max_width - 2), height=None)
        for number, line in enumerate(console.render_lines(self._inside, inner, pad=False)):
            yield Segment("│ " if number else f"{self._mark} ", self._style)
            yield from line
            yield Segment.line()


def failure_block(report: Report, row: OutputRow) -> Marked:
    """Title and figures of an output beyond its tolerance, in its worst case."""
    far = wording.how_far(row.worst)
    title = Text.assemble(
        (visible(wording.label(row.subject, row.name)), "bold"),
        (f"  {far}" if far else "", "bold red"),
        (f"  {visible(str(row.pair))}", "dim"),
    )
    spec = wording.spec_file(report, row.pair.suite)
    facts = [
        ("problem", row.worst.problem),
        *wording.facts(row.worst, spec),
        ("input sets", wording.failing_sets(row)),
        *budget.row_facts(row),
    ]
    return Marked(Group(title, _grid(facts)), "✗", "bold red")


def unjudged_block(entry: Unjudged) -> Marked:
    """Title, remedy and last words of something that could not be judged."""
    problem = entry.problem
    where = selection.listed(entry.cases) if entry.cases else f"all of {entry.suite}"
    facts = [("at", problem.at), ("fix", problem.fix), ("not judged", where)]
    inside: list[RenderableType] = [Text(visible(problem.message, 400), "bold"), _grid(facts)]
    if last_words := lines_of(problem.detail):
        inside.append(Text("\n".join(["", *last_words]), "dim"))
    return Marked(Group(*inside), "!", "bold yellow")


def _grid(facts: list[tuple[str, str]]) -> Table:
    grid = Table.grid(padding=(0, 3, 0, 0))
    for name, text in facts:
        if text:
            grid.add_row(
                Text(name, "dim"), Text(visible(text, _LIMITS.get(name, 600)), _STYLES.get(name, ""))
            )
    return grid
