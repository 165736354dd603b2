"""Cells and tables of the page, before the template gives them their look."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from parity.reports import figures

MOST_ROWS = 5_000  # of a table: a browser sorts them at once, and the page stays below 10 MB


@dataclass(frozen=True)
class Meter:
    """A bar beside a figure, and the spread of what it is the median of; all in per cent of its room."""

    kind: str
    width: float
    spread: tuple[float, float] | None = None


@dataclass(frozen=True)
class Cell:
    """A text. `code`: a name of a model or user. `sort`: what a column of figures is sorted by.

    `listed`: figures with commas between them, at which alone a line may be broken.
    """

    text: str
    code: bool = False
    sort: float | None = None
    tone: str = ""
    meter: Meter | None = None
    listed: bool = False


@dataclass(frozen=True)
class Table:
    """`numeric` are the columns of figures; `left_out` counts rows for which there is no room."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    numeric: frozenset[str] = frozenset()
    left_out: int = 0


def table_of(
    title: str,
    columns: Sequence[str],
    rows: Iterable[tuple[Cell, ...]],
    numeric: Sequence[str] = (),
    whole: int | None = None,
) -> Table | None:
    """The table; None where it has no row. `whole` is how many rows there would be with room for all."""
    kept = tuple(rows)
    if not kept:
        return None
    rest = 0 if whole is None else whole - len(kept)
    return Table(title, tuple(columns), kept, frozenset(numeric), left_out=rest)


def unbroken(text: str) -> str:
    """Figures of our own, with spaces at which no line is broken."""
    return text.replace(" ", "\u00a0")


def kind_of(dtype: str, shape: tuple[int, ...]) -> str:
    """``float32[1, 5, 128, 128]``; empty where nothing was there."""
    return f"{dtype}{figures.bracketed(shape)}" if dtype else ""
