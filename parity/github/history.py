"""What a comment said before: figures in it for the next run to read, and what became of them.

They stand in an HTML comment, without a name of the model: outputs go by a hash of theirs.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from typing import Annotated, Literal

import msgspec

from parity.records.jobs import MODEL
from parity.records.results import Report, SidePerformance, Status
from parity.reports import figures, selection, wording
from parity.reports.document import Section
from parity.reports.escaping import code
from parity.reports.figures import counted
from parity.reports.selection import OutputRow

from . import outputs
from .outputs import Verdict

MARKED = 2.0  # times the figure before, or its inverse: less is the noise from run to run
_MOST_KEPT = 150  # outputs, the worst; some 50 bytes each
_MOST_TOLD = 5
_STATE = re.compile(r"^<!-- parity-state (\{[^\n]{0,20000}\}) -->\r?$", re.MULTILINE)

Figure = tuple[float | None, Status]  # greatest absolute error, None where there is none
_Hash = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{16}$")]


class State(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a comment keeps of the report that it shows.

    Attributes:
        digest: of everything in the report that stays the same when nothing has changed.
        commit: empty where it is not known.
        outputs: worst first, as far as there is room for them.
    """

    version: Literal[1]
    status: Verdict
    digest: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]
    commit: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{0,64}$")]
    outputs: dict[_Hash, Figure]


def state_of(report: Report, commit: str) -> State:
    """What the next run will want to know."""
    rows = selection.worst_first(selection.output_rows(report))[:_MOST_KEPT]
    return State(1, outputs.status(report), _digest(report, commit), commit, dict(map(_entry, rows)))


def written(state: State) -> str:
    """The line of a comment's body that keeps the state; it can hold no end of an HTML comment."""
    return f"<!-- parity-state {msgspec.json.encode(state).decode()} -->"


def read(body: str) -> State | None:
    """The state that a comment keeps; None where there is none, or somebody has edited it away."""
    found = _STATE.findall(body)
    try:
        return msgspec.json.decode(found[-1], type=State) if found else None
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def is_news(state: State, before: State) -> bool:
    """Whether the verdict, an output's verdict, or an error has changed by more than `MARKED`."""
    return (
        state.status != before.status
        or state.outputs.keys() != before.outputs.keys()
        or any(_has_moved(figure, before.outputs[key]) for key, figure in state.outputs.items())
    )


def since(report: Report, before: State | None) -> Iterator[Section]:
    """``heatmap: was 3.1e-5, now 0.020`` of each output that has moved; nothing in a first comment."""
    if before is None:
        return
    now, when = outputs.status(report), code(before.commit[:7]) if before.commit else "the last comment"
    rows = selection.worst_first(selection.output_rows(report))
    told = [_line(row, before.outputs[key], rows) for row, key in _moved(rows, before)]
    if len(told) > _MOST_TOLD:
        told[_MOST_TOLD:] = [f"- and {counted(len(told) - _MOST_TOLD, 'more output')}\n"]
    turn = f"Was {before.status}, now {now}.\n\n" if now != before.status else ""
    if told or turn:
        yield Section(f"\n### Since {when}\n\n{turn}", told, weight=95)
    else:
        yield Section(
            f"\nNo error has changed by more than a factor of {MARKED:g} since {when}.\n", (), weight=95
        )


def _moved(rows: list[OutputRow], before: State) -> Iterator[tuple[OutputRow, str]]:
    for row in rows:
        key, figure = _entry(row)
        if key in before.outputs and _has_moved(figure, before.outputs[key]):
            yield row, key


def _has_moved(now: Figure, before: Figure) -> bool:
    (error, status), (old, old_status) = now, before
    if status != old_status or (error is None) != (old is None):
        return True
    if error is None or old is None:
        return False
    return not (old <= MARKED * error and error <= MARKED * old)


def _line(row: OutputRow, before: Figure, rows: list[OutputRow]) -> str:
    name = wording.label(row.subject, row.name) if row.subject != MODEL else row.name
    pair = f", {code(str(row.pair))}" if len({entry.pair for entry in rows}) > 1 else ""
    now = _told((row.worst.max_abs, row.status))
    return f"- {code(name)}{pair}: was {_told(before)}, now {now}\n"


def _told(figure: Figure) -> str:
    """``3.1e-5 (passed)``."""
    error, status = figure
    return f"{'no figure' if error is None else figures.number(error, 2)} ({status})"


def _entry(row: OutputRow) -> tuple[str, Figure]:
    names = [row.pair.suite, row.pair.reference, row.pair.candidate, row.subject, row.name]
    key = hashlib.sha256(json.dumps(names).encode()).hexdigest()[:16]
    return key, (row.worst.max_abs, row.status)


def _digest(report: Report, commit: str) -> str:
    """Of the report without what differs from run to run of one commit: times and memory."""
    still = SidePerformance()
    replace = msgspec.structs.replace
    timeless = replace(
        report,
        started_at="",
        duration_s=0.0,
        suites=tuple(replace(suite, duration_s=0.0) for suite in report.suites),
        cases=tuple(
            replace(case, duration_s=0.0, reference_performance=still, candidate_performance=still)
            for case in report.cases
        ),
    )
    content = json.dumps([commit, msgspec.to_builtins(timeless)], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()
