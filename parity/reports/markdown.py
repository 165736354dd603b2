"""`summary.md`: verdict and failures first, all else folded away, as GitHub renders it in a step summary.

Whatever a model or user code named is made inert by `escaping` before it comes near the document.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from parity.errors import ExitCode
from parity.records.jobs import MODEL
from parity.records.results import Report

from . import budget, figures, growth, matching, noise, selection, verdict, wording
from .document import Section, assemble, folded, row, table
from .escaping import code, fenced, lines_of, prose, unbroken
from .grouping import groups
from .markdown_causes import evidence, where_and_why
from .markdown_figures import every_figure
from .markdown_run import about_the_run
from .markdown_steps import every_step, limits_exceeded, step_growth
from .selection import OutputRow

SIZE_LIMIT = 900 * 1024  # bytes; GitHub drops a summary of more than 1 MiB whole
_MOST_UNMATCHED = 20  # rows
_MARKS = {"passed": "✅", "failed": "❌", "error": "⛔", "skipped": "⏭️"}


def render(report: Report, limit: int = SIZE_LIMIT, after_verdict: Sequence[Section] = ()) -> str:
    """The summary, in at most `limit` bytes of UTF-8: what fails stays longest, passing rows go first.

    `after_verdict` is what the place where it is shown has to add.
    """
    rows = selection.output_rows(report)
    sections = [
        _verdict(report),
        *after_verdict,
        *where_and_why(rows),
        *_failures(rows),
        *limits_exceeded(report),
        *step_growth(rows),
        *_grown(report, rows),
        *_tolerances(report, rows),
        *_unjudged(report),
        *evidence(report, rows),
        *every_figure(report, rows),
        *every_step(rows),
        *_all_outputs(rows),
        *about_the_run(report),
    ]
    return assemble(sections, limit)


def _verdict(report: Report) -> Section:
    mark = {ExitCode.PASSED: "✅", ExitCode.FAILED: "❌"}.get(verdict.exit_code(report), "⛔")
    sets = {(case.suite, case.input_set) for case in report.cases}
    about = [
        *(code(suite.name) for suite in report.suites[:8]),
        figures.counted(len(report.cases), "case"),
        figures.counted(len(sets), "input set"),
        figures.seconds(report.duration_s),
    ]
    line = f"## {mark} parity: {prose(verdict.headline(report))}\n\n{' · '.join(about)}\n"
    return Section(line, (), weight=100)


def _failures(rows: list[OutputRow]) -> Iterator[Section]:
    """Two tables: outputs that could not even be compared, and those whose values are too far apart."""
    failed, extra = selection.failed(rows), _Extra(rows)
    unlike = [entry for entry in failed if entry.worst.measurement is None]
    if unlike:
        columns = [*extra.names, "Output", "Problem", *extra.after]
        lines = [
            row([*_names(entry, extra), prose(entry.worst.problem), *extra.cells(entry)]) for entry in unlike
        ]
        yield Section(f"\n### Not comparable\n\n{table(columns, ['Input sets'])}", lines, weight=90)
    beyond = [entry for entry in failed if entry.worst.measurement is not None]
    if beyond:
        numeric = ["Max error", "Of tolerance", "Reference", "Candidate", "Mismatched", "Input sets"]
        mostly = ["Mostly"] * any(entry.explained for entry in beyond)
        columns = [*extra.names, "Output", *numeric[:2], "Tolerance", *mostly, "Worst at", *numeric[2:5]]
        lines = [
            row(
                [
                    *_names(entry, extra),
                    *_judged(entry),
                    *([_mostly(entry)] if mostly else []),
                    *_worst(entry),
                    *extra.cells(entry),
                ]
            )
            for entry in beyond
        ]
        head = f"\n### Beyond tolerance\n\n{table([*columns, *extra.after], numeric)}"
        yield Section(head, lines, f"{_legend(beyond)}{_unmatched(beyond)}", weight=89)


def _mostly(entry: OutputRow) -> str:
    """The leg that stands out in a row."""
    return budget.mostly(entry.explained.diagnosis) if entry.explained else figures.MISSING


def _legend(rows: list[OutputRow]) -> str:
    """What each of the legs that stand out means, once; `where_and_why` says it where it knows more."""
    told = {id(entry) for group in groups(rows) if group.is_reasoned for entry in group.rows}
    legs = dict.fromkeys(
        entry.explained.diagnosis.dominant_leg for entry in rows if entry.explained and id(entry) not in told
    )
    lines = [f"- {budget.MEANING[leg]}\n" for leg in legs if leg]
    return "\n" + "".join(lines) if lines else ""


def _unmatched(rows: list[OutputRow]) -> str:
    """What found no counterpart, or was decided otherwise: a factor does not say it."""
    told = [
        f"- {code(wording.label(entry.subject, entry.name))}: {matching.summary(found)}\n"
        for entry in rows
        if (found := entry.worst.measurement and entry.worst.measurement.matching)
        and (matching.lone(found) or found.flipped)
    ]
    return "\n" + "".join(told[:_MOST_UNMATCHED]) if told else ""


def _grown(report: Report, rows: list[OutputRow]) -> Iterator[Section]:
    """What has grown since the baseline, and what else there is to know of it."""
    found, extra = growth.grown(rows), _Extra(rows)
    numeric = ["Was", "Now", "Growth", "Of tolerance", "Input sets"]
    columns = [*extra.names, "Output", *numeric[:4], "Why", *extra.after]
    lines = [
        row(
            [
                *_names(entry.row, extra),
                *map(unbroken, (entry.was, entry.now)),
                f"**{unbroken(entry.times)}**",
                unbroken(figures.factor(entry.row.worst.factor)),
                prose(entry.why),
                *extra.cells(entry.row, entry.sets),
            ]
        )
        for entry in found
    ]
    notes = "".join(f"- {code(suite)}: {prose(text)}\n" for suite, text in growth.notes(report, rows))
    if lines:
        tail = f"\n{notes}" if notes else ""
        yield Section(f"\n### Grown since the baseline\n\n{table(columns, numeric)}", lines, tail, weight=88)
    elif notes:
        yield Section(f"\n### Since the baseline\n\n{notes}", (), weight=69)


def _tolerances(report: Report, rows: list[OutputRow]) -> Iterator[Section]:
    notes = [*wording.never_compared(rows), *noise.tolerance_notes(report, rows)]
    lines = [f"- {code(outputs)}: {prose(note)}\n" for outputs, note in notes]
    if lines:
        yield Section("\n### Tolerances and noise\n\n", lines, weight=70)


class _Extra:
    """Columns that a table has only where its rows differ in them: component, input sets, sides."""

    def __init__(self, rows: list[OutputRow]) -> None:
        self._sets = any(len(entry.cases) > 1 for entry in rows)
        self._pairs = len({entry.pair for entry in rows}) > 1
        self._suites = len({entry.pair.suite for entry in rows}) > 1
        self.names = ["Component"] * any(entry.subject != MODEL for entry in rows)
        self.after = ["Input sets"] * self._sets + ["Suite"] * self._suites + ["Sides"] * self._pairs

    def cells(self, entry: OutputRow, count: int | None = None) -> list[str]:
        """The cells of `after`; `count` is of input sets that the table is about, not those that failed."""
        told = len(entry.failing) if count is None else count
        amount = f"{told:,} of " if told else ""
        worst = f", worst {code(entry.worst_case.input_set)}" if len(entry.cases) > 1 else ""
        sets = [unbroken(f"{amount}{len(entry.cases):,}") + worst] * self._sets
        return sets + [code(entry.pair.suite)] * self._suites + [code(str(entry.pair))] * self._pairs


def _names(entry: OutputRow, extra: _Extra) -> list[str]:
    return [code(entry.subject)] * len(extra.names) + [code(entry.name)]


def _judged(entry: OutputRow) -> list[str]:
    """Greatest error, factor and tolerance of a row."""
    output, measured = entry.worst, entry.worst.measurement
    stated = ", ".join(map(unbroken, figures.tolerance(output.tolerance).split(", ")))
    if measured is None:
        return [figures.MISSING, entry.status, stated]
    error = "NaN/inf" if measured.nonfinite.mismatched else figures.number(output.max_abs)
    far = unbroken(figures.factor(output.factor))
    return [unbroken(error), f"**{far}**" if output.status == "failed" else far, stated]


def _worst(entry: OutputRow) -> list[str]:
    """Where the worst element is, the values there, and how many elements do not match."""
    element, measured = wording.worst_element(entry.worst), entry.worst.measurement
    if element is None or measured is None:
        return [""] * 4
    place = f"<code>{unbroken(wording.located(element))}</code>"
    part = unbroken(figures.share(measured.mismatched, measured.elements))
    return [place, code(element.reference, 40), code(element.candidate, 40), part]


def _unjudged(report: Report) -> Iterator[Section]:
    problems = selection.unjudged(report)
    if not problems:
        return
    blocks = []
    for entry in problems:
        problem = entry.problem
        where = ", ".join(code(case) for case in entry.cases[:8]) or f"all of {code(entry.suite)}"
        rest = len(entry.cases) - 8
        where += f" and {rest:,} more" if rest > 0 else ""
        said = prose(problem.message) or "no reason is given"
        place = f" at {code(problem.at)}" if problem.at else ""
        block = f"- **{said}**{place}  \n  {where}\n"
        if problem.fix:
            block += f"\n  Fix: {prose(problem.fix)}\n"
        if last_words := lines_of(problem.detail):
            block += f"\n{_indented(fenced(last_words))}\n"
        blocks.append(f"{block}\n")
    yield Section("\n### Could not be judged\n\n", blocks, weight=80)


def _all_outputs(rows: list[OutputRow]) -> Iterator[Section]:
    if not rows:
        return
    extra = _Extra(rows)
    columns = [" ", *extra.names, "Output", "Max error", "Of tolerance", "Tolerance", "Type", *extra.after]
    lines = []
    for entry in selection.worst_first(rows):
        kind = unbroken(prose(f"{wording.dtypes(entry.worst)}{figures.bracketed(entry.worst.shape)}"))
        cells = [_MARKS[entry.status], *_names(entry, extra), *_judged(entry)]
        lines.append(row([*cells, f"<code>{kind}</code>" if entry.worst.dtype else "", *extra.cells(entry)]))
    head = table(columns, ["Max error", "Of tolerance", "Input sets"])
    yield folded(f"All {figures.counted(len(rows), 'output')}", head, lines, weight=10)


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
