"""A Markdown document of bounded size: rows are given up where they matter least, never a half of one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .escaping import prose, unbroken
from .figures import counted

_MORE_RESERVE = 120  # bytes for the line that says how many rows are left out


@dataclass(frozen=True)
class Section:
    """Text before the rows, the rows (each one line or one block), and text after them.

    Attributes:
        weight: sections of a greater weight give up their rows later.
        rows: in the order in which they are kept; the last are given up first.
    """

    head: str
    rows: Sequence[str]
    tail: str = ""
    weight: int = 0


def assemble(sections: Iterable[Section], limit: int) -> str:
    """The sections in their order, in at most `limit` bytes of UTF-8."""
    ordered = list(sections)
    left = limit - _MORE_RESERVE
    texts: dict[int, str] = {}
    dropped = []
    for place, section in sorted(enumerate(ordered), key=lambda entry: -entry[1].weight):
        text = _fitted(section, left)
        if text is None:
            dropped.append(section)
            continue
        left -= _bytes(text)
        texts[place] = text
    body = "".join(texts[place] for place in sorted(texts))
    if dropped:
        body += f"\n{counted(len(dropped), 'section')} left out for size, see results.json\n"
    return body


def table(columns: Sequence[str], numeric: Iterable[str] = ()) -> str:
    """The first two lines of a table; `numeric` columns stand on the right, as wide as their names.

    GitHub would break 1.2e-5 at its hyphen where a column is narrow.
    """
    right = set(numeric)
    names = " | ".join(unbroken(column) if column in right else column for column in columns)
    rules = " | ".join("---:" if column in right else ":---" for column in columns)
    return f"| {names} |\n| {rules} |\n"


def row(cells: Iterable[str]) -> str:
    """One line of a table; the cells are inert already."""
    return f"| {' | '.join(cells)} |\n"


def folded(title: str, head: str, rows: Sequence[str], weight: int) -> Section:
    """A section that is closed until somebody opens it."""
    opening = f"\n<details><summary>{prose(title)}</summary>\n\n{head}"
    return Section(opening, rows, "\n</details>\n", weight)


def _fitted(section: Section, limit: int) -> str | None:
    """The section with as many of its rows as fit; None if not even one does."""
    room = limit - _bytes(section.head) - _bytes(section.tail) - _MORE_RESERVE
    kept: list[str] = []
    for line in section.rows:
        room -= _bytes(line)
        if room < 0:
            break
        kept.append(line)
    if room < 0 and not kept:
        return None
    rest = len(section.rows) - len(kept)
    more = f"\n{rest:,} more, see results.json\n" if rest else ""
    return f"{section.head}{''.join(kept)}{more}{section.tail}"


def _bytes(text: str) -> int:
    return len(text.encode())
