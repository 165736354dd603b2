"""What is wrong, in full: one block for all outputs that fail for one reason, one for what is not judged."""

from __future__ import annotations

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.console import Group as Stack
from rich.measure import Measurement
from rich.segment import Segment
from rich.style import Style
from rich.table import Table
from rich.text import Text

from parity.records.results import Report

from . import budget, causes, figures, limits, modules, replay, selection, wording
from .escaping import lines_of, visible
from .grouping import Group, likewise, remedies
from .growth import Grown
from .limits import LimitRow
from .selection import Diagnosed, OutputRow, Unjudged

# Of facts that are looked for first, and of those that are looked for last.
_STYLES = {
    "starts at": "bold",
    "because": "bold",
    "mend": "green",
    "node": "dim",
    "also": "dim",
    "note": "dim",
}
_GOOD_NEWS = {**_STYLES, "because": "green"}
_NO_REASON = {"mostly": "bold"}  # nothing more exact follows
_LIMITS = {"unknown": 240, "note": 240, "because": 400, "also": 160}  # characters: it may be a traceback
_MOST_MODULES = 5  # rows
_NAME_LENGTH = 44  # characters of a module's name in a table

_Facts = list[tuple[str, str]]


class Marked:
    """A renderable behind a mark, and behind a rule from its second line on.

    It can be told from what is around it, and no text of it stands at the start of a line.
    """

    def __init__(self, inside: RenderableType, mark: str, style: str) -> None:
        self._inside, self._mark, self._style = inside, mark, Style.parse(style)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Lines of the renderable with the mark before the first, the rule before the others."""
        inner = options.update(width=max(8, options.max_width - 2), height=None)
        for number, line in enumerate(console.render_lines(self._inside, inner, pad=False)):
            yield Segment("│ " if number else f"{self._mark} ", self._style)
            yield from line
            yield Segment.line()

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """The renderable's own, and two columns more."""
        inside = Measurement.get(console, options, self._inside)
        return Measurement(inside.minimum + 2, inside.maximum + 2)


def failure_block(report: Report, group: Group) -> Marked:
    """Outputs beyond their tolerance for one reason: the reason, and all figures of the worst of them."""
    row, spec = group.lead, wording.spec_file(report, group.lead.pair.suite)
    facts = [
        ("problem", row.worst.problem),
        ("likewise", likewise(group)),
        *_reason(row),
        *remedies(group),
        *wording.facts(row.worst, spec),
        ("input sets", wording.failing_sets(row)),
        *replay.again(row, spec),
    ]
    return Marked(_block(_title(row, "bold red"), facts, row.explained), "✗", "bold red")


def passed_block(row: OutputRow) -> Marked:
    """The budget of an output within its tolerance, and what there is to know of its causes."""
    return Marked(_block(_title(row, "green"), _reason(row), row.explained), "✓", "green")


def _title(row: OutputRow, style: str) -> Text:
    far = wording.how_far(row.worst)
    return Text.assemble(
        (visible(wording.label(row.subject, row.name)), "bold"),
        (f"  {far}" if far else "", style),
        (f"  {visible(str(row.pair))}", "dim"),
    )


def _reason(row: OutputRow) -> _Facts:
    """The budget of a row, the place and the causes."""
    found = causes.facts(row.explained.diagnosis) if row.explained else []
    return [*budget.row_facts(row), *found]


def _block(title: Text, facts: _Facts, explained: Diagnosed | None) -> Stack:
    grid = _grid(facts, styles := _styles(explained))
    if explained:
        if table := _modules_table(explained):
            grid.add_row(Text("modules", "dim"), table)
        _add_facts(grid, causes.note_facts(explained.diagnosis), styles)
    return Stack(title, grid)


def _styles(explained: Diagnosed | None) -> dict[str, str]:
    if explained and explained.output.status == "passed":
        return {**_STYLES, "starts at": "", "because": ""}
    if explained and causes.is_good_news(explained.diagnosis):
        return _GOOD_NEWS
    reasoned = explained and (explained.diagnosis.causes or explained.diagnosis.first_divergence)
    return _STYLES if reasoned else {**_STYLES, **_NO_REASON}


def _modules_table(explained: Diagnosed) -> Table | None:
    """The modules around the greatest local error, where the causes leave open what it is."""
    diagnosis = explained.diagnosis
    if (
        explained.output.status != "failed"
        or diagnosis.dominant_leg != "export"
        or causes.is_settled(diagnosis)
    ):
        return None
    rows = modules.around_the_worst(explained.case.modules, _MOST_MODULES)
    if not rows:
        return None
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", show_edge=False)
    table.add_column("name", min_width=_NAME_LENGTH // 2)
    table.add_column("type", no_wrap=True)
    for name in ("inherited", "local"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("")
    for row in rows:
        if isinstance(row, modules.Gap):
            table.add_row(Text(row.short, "dim", no_wrap=True))
            continue
        errors = row.module
        table.add_row(
            Text(visible(causes.shortened(errors.module, _NAME_LENGTH))),
            Text(visible(causes.shortened(errors.type, _NAME_LENGTH)), "dim"),
            *(Text(figures.number(error, 2)) for error in (errors.inherited, errors.local)),
            Text(row.bar),
        )
    return table


def limit_block(row: LimitRow) -> Marked:
    """A limit of latency or memory that the candidate is beyond."""
    title = Text.assemble(
        (visible(wording.label(row.subject, row.check.limit_name)), "bold"),
        (f"  {limits.title(row)}", "bold red"),
        (f"  {visible(str(row.pair))}", "dim"),
    )
    return Marked(Stack(title, _grid(limits.facts(row))), "✗", "bold red")


def grown_line(entry: Grown) -> Marked:
    """An output whose error has grown since the baseline."""
    name = visible(wording.label(entry.row.subject, entry.row.name))
    return Marked(Text.assemble((name, "bold"), "  ", visible(str(entry), 400)), "▲", "bold yellow")


def unjudged_block(entry: Unjudged) -> Marked:
    """Title, remedy and last words of something that could not be judged."""
    problem = entry.problem
    where = selection.listed(entry.cases) if entry.cases else f"all of {entry.suite}"
    facts = [("at", problem.at), ("fix", problem.fix), ("not judged", where)]
    inside: list[RenderableType] = [Text(visible(problem.message, 400), "bold"), _grid(facts)]
    if last_words := lines_of(problem.detail):
        inside.append(Text("\n".join(["", *last_words]), "dim"))
    return Marked(Stack(*inside), "!", "bold yellow")


def _grid(facts: _Facts, styles: dict[str, str] = _STYLES) -> Table:
    grid = Table.grid(padding=(0, 3, 0, 0))
    _add_facts(grid, facts, styles)
    return grid


def _add_facts(grid: Table, facts: _Facts, styles: dict[str, str]) -> None:
    for name, text in facts:
        if text:
            told = visible(text, _LIMITS.get(name, 600))
            # An id or a path that is cut off can't be copied.
            grid.add_row(Text(name, "dim"), Text(told, styles.get(name, ""), overflow="fold"))
