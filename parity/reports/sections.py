"""The rows in the sections of a report: pairs of sides, then subjects, those with a failure first."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

from .selection import OutputRow, Pair

K = TypeVar("K", bound=Hashable)


def by_pair(rows: Iterable[OutputRow]) -> list[tuple[Pair, list[OutputRow]]]:
    """The rows of each pair of sides; pairs with a failure first."""
    return _grouped(rows, lambda row: row.pair)


def by_subject(rows: Iterable[OutputRow]) -> list[tuple[str, list[OutputRow]]]:
    """The rows of each component and of the pipeline; subjects with a failure first."""
    return _grouped(rows, lambda row: row.subject)


def _grouped(rows: Iterable[OutputRow], key: Callable[[OutputRow], K]) -> list[tuple[K, list[OutputRow]]]:
    groups: dict[K, list[OutputRow]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    # Failed rows come first within a group, and groups with one before the others; else the order stays.
    ordered = [(name, sorted(group, key=_not_failed)) for name, group in groups.items()]
    return sorted(ordered, key=lambda entry: _not_failed(entry[1][0]))


def _not_failed(row: OutputRow) -> bool:
    return row.status != "failed"
