"""Why outputs fail: a card for each reason, with place, cause, remedy, the budget and the modules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from parity.records.diagnosis import Cause, ModuleErrors, Statistics
from parity.records.jobs import MODEL, PIPELINE
from parity.records.results import Report
from parity.reports import budget, causes, figures, grouping, matching, replay, selection, wording
from parity.reports.escaping import NAME_LIMIT
from parity.reports.grouping import Group
from parity.reports.selection import OutputRow

from . import plots

MOST = 20  # cards
_MOST_CHIPS = 12
_MOST_MODULES = 400  # rows of the table behind the plot
_MATCHED = ("matched", "unmatched")  # told with the reason
_FIRST = (
    *_MATCHED,
    "because",
    "mend",
    "starts at",
    "node",
    "adds",
    "mostly",
    "noise",
    "unknown",
    "also",
    "note",
)


@dataclass(frozen=True)
class Chip:
    """An output and how far out it is."""

    name: str
    far: str


@dataclass(frozen=True)
class Tensor:
    """Statistics of the first tensor that is off: rows of (name, figures)."""

    name: str
    shape: str
    rows: tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True)
class CauseRow:
    """One cause; `part` is its share in per cent, for a bar."""

    cause: Cause
    share: str
    part: float
    about: str


@dataclass(frozen=True)
class Modules:
    """Errors of the modules: the plot, the rows behind it, and how many are left out."""

    plot: plots.ModulePlot
    rows: tuple[tuple[ModuleErrors, str, str, str], ...]
    left_out: int


@dataclass(frozen=True)
class Card:
    """All that is known of outputs that are off for one reason; the first chip is the one it is told for.

    `again` is how to see it again, `folder` what was saved for that, and `link` the way there from the page.
    """

    subject: str
    sides: str
    chips: tuple[Chip, ...]
    more_chips: int
    reason: tuple[tuple[str, str], ...]
    plot: plots.BudgetPlot | None
    tensor: Tensor | None
    causes: tuple[CauseRow, ...]
    modules: Modules | None
    facts: tuple[tuple[str, str], ...]
    again: tuple[tuple[str, str], ...]
    folder: str
    link: str


def of_report(report: Report, rows: list[OutputRow]) -> list[Card]:
    """At most `MOST` cards, those that tell most first."""
    seen: set[str] = set()  # a component's modules are shown once
    return [_card(report, group, seen) for group in grouping.in_detail(_groups(rows), MOST)]


def left_out(rows: list[OutputRow]) -> str:
    """Failed outputs without a card: of a chain, which its components explain, or beyond `MOST`."""
    found = _groups(rows)
    told = {id(row) for group in grouping.in_detail(found, MOST) for row in group.rows}
    rest = [row for group in found for row in group.rows if id(row) not in told]
    chain = all(row.subject == PIPELINE for row in rest)
    whose = f" of the {PIPELINE}, which its components explain," if chain else ""
    return f"{figures.counted(len(rest), 'more failed output')}{whose} in the table below" if rest else ""


def _groups(rows: list[OutputRow]) -> list[Group]:
    return grouping.groups(selection.failed(rows))


def _card(report: Report, group: Group, seen: set[str]) -> Card:
    lead, explained = group.lead, group.explained
    chips = [Chip(row.name, wording.how_far(row.worst).removesuffix(" its tolerance")) for row in group.rows]
    diagnosis = explained.diagnosis if explained else None
    case = explained.case if explained else lead.worst_case
    shown = () if case.id in seen else case.modules
    seen.add(case.id)
    spec, folder = wording.spec_file(report, lead.pair.suite), replay.saved(lead).folder
    return Card(
        subject="" if lead.subject == MODEL else lead.subject,
        sides=str(lead.pair),
        chips=tuple(chips[:_MOST_CHIPS]),
        more_chips=len(chips) - _MOST_CHIPS,
        reason=tuple(_reason(group)),
        plot=plots.of_budget(diagnosis.budget) if diagnosis else None,
        tensor=_tensor(group),
        causes=tuple(map(_cause, diagnosis.causes)) if diagnosis and len(diagnosis.causes) > 1 else (),
        modules=_modules(shown),
        facts=tuple(
            (name, text) for name, text in wording.facts(lead.worst, spec) if text and name not in _MATCHED
        ),
        again=tuple(
            (name, text)
            for name, text in (("input sets", wording.failing_sets(lead)), *replay.again(lead, spec))
            if text
        ),
        folder=folder,
        link=_link(folder),
    )


def _link(folder: str) -> str:
    """Relative to the page, whatever a file says that was forged; empty where there is none to be made."""
    if not 0 < len(folder) <= NAME_LIMIT:
        return ""
    return f"./{quote(folder.lstrip('/'), errors='backslashreplace')}/"


def _reason(group: Group) -> list[tuple[str, str]]:
    """Facts of the reason, what matters most first."""
    row, explained = group.lead, group.explained
    measured = row.worst.measurement
    found = [*matching.facts(measured.matching if measured else None), *budget.row_conclusions(row)]
    if explained:
        diagnosis = explained.diagnosis
        found += [*causes.facts(diagnosis), *grouping.remedies(group), *causes.note_facts(diagnosis)]
    order = {name: place for place, name in enumerate(_FIRST)}
    told = sorted(found, key=lambda fact: order.get(fact[0], len(order)))
    return [("problem", row.worst.problem)] * bool(row.worst.problem) + [fact for fact in told if fact[1]]


def _tensor(group: Group) -> Tensor | None:
    first = group.explained.diagnosis.first_divergence if group.explained else None
    if first is None or not (first.expected or first.found):
        return None
    kinds = (("expected", first.expected), ("found", first.found))
    return Tensor(
        causes.shortened(first.output or first.node),
        figures.bracketed(first.shape) if first.shape else "",
        tuple((name, _figures(values)) for name, values in kinds if values),
    )


def _figures(values: Statistics) -> tuple[str, ...]:
    numbers = (values.minimum, values.maximum, values.mean, values.std)
    return (*(figures.number(value, causes.STATISTIC_DIGITS) for value in numbers), f"{values.nonfinite:,}")


def _cause(cause: Cause) -> CauseRow:
    about = ", ".join(causes.shortened(name) for name in (cause.node, cause.tensor) if name)
    return CauseRow(cause, causes.share(cause), 100 * min(max(cause.share or 0.0, 0.0), 1.0), about)


def _modules(modules: Sequence[ModuleErrors]) -> Modules | None:
    plot = plots.of_modules(modules)
    if plot is None:
        return None
    rows = [(each, *_sizes(each)) for each in modules[:_MOST_MODULES]]
    return Modules(plot, tuple(rows), max(0, len(modules) - _MOST_MODULES))


def _sizes(module: ModuleErrors) -> tuple[str, str, str]:
    total, inherited, local = module.total, module.inherited, module.local
    return figures.number(total, 2), figures.number(inherited, 2), figures.number(local, 2)
