"""One-to-one assignments: the cheapest in a small dense matrix, the largest in a big sparse graph."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from .alignment import Indices

Costs = npt.NDArray[np.float64]


def cheapest(cost: Costs) -> tuple[Indices, Indices]:
    """Rows and columns of the assignment with the least total; as many pairs as the smaller side has.

    Shortest augmenting paths with potentials (Jonker and Volgenant, 1987), a column at a time in NumPy.

    Args:
        cost: (n, m), finite, at least 0.
    """
    if cost.shape[0] > cost.shape[1]:
        columns, rows = cheapest(np.ascontiguousarray(cost.T))
        order = np.argsort(rows)
        return rows[order], columns[order]
    n, m = cost.shape
    row_price, column_price = cost.min(axis=1, initial=np.inf), np.zeros(m)
    row_of = np.full(m, -1, np.intp)
    for start in range(n):
        _augment(cost, row_price, column_price, row_of, start)
    columns = np.flatnonzero(row_of >= 0)
    order = np.argsort(row_of[columns])
    return row_of[columns][order], columns[order]


def _augment(cost: Costs, row_price: Costs, column_price: Costs, row_of: Indices, start: int) -> None:
    """Gives row `start` a column along the cheapest path that leaves every other row with one."""
    m = cost.shape[1]
    distance, before = np.full(m, np.inf), np.full(m, -1, np.intp)
    done = np.zeros(m, np.bool_)
    row, reached, column = start, 0.0, -1
    tree = []  # columns in the order in which they were reached
    while True:
        offered = reached + cost[row] - row_price[row] - column_price
        better = ~done & (offered < distance)
        distance[better] = offered[better]
        before[better] = column
        open_distance = np.where(done, np.inf, distance)
        column = int(open_distance.argmin())
        reached = float(open_distance[column])
        if row_of[column] < 0:
            break
        done[column] = True
        tree.append(column)
        row = int(row_of[column])
    row_price[start] += reached
    for passed in tree:
        row_price[row_of[passed]] += reached - distance[passed]
        column_price[passed] -= reached - distance[passed]
    while column >= 0:
        previous = int(before[column])
        row_of[column] = row_of[previous] if previous >= 0 else start
        column = previous


def largest(neighbours: Callable[[int], Indices], rows: int, columns: int) -> Indices:
    """For each row its column in an assignment with as many pairs as there can be; -1 for a row without.

    Augmenting paths (Berge, 1957) after a greedy start. A search that fails has seen a part of the graph that
    no later path leads out of, so it is never searched again.

    Args:
        neighbours: the columns that a row may have, those to be preferred first.
        rows: how many there are.
        columns: how many there are.
    """
    column_of, row_of = np.full(rows, -1, np.intp), np.full(columns, -1, np.intp)
    for row in range(rows):
        found = neighbours(row)
        free = found[row_of[found] < 0]
        if free.size:
            column_of[row], row_of[free[0]] = free[0], row
    seen = np.zeros(columns, np.bool_)
    for start in np.flatnonzero(column_of < 0):
        _search(neighbours, column_of, row_of, seen, int(start))
    return column_of


def _search(
    neighbours: Callable[[int], Indices],
    column_of: Indices,
    row_of: Indices,
    seen: npt.NDArray[np.bool_],
    start: int,
) -> None:
    before: dict[int, int] = {}  # column -> row that it was reached from
    queue = deque([start])
    while queue:
        row = queue.popleft()
        found = neighbours(row)
        found = found[~seen[found]]
        seen[found] = True
        before.update(dict.fromkeys(found.tolist(), row))
        free = found[row_of[found] < 0]
        if free.size:
            column: int = int(free[0])
            while column >= 0:
                row = before[column]
                following = int(column_of[row])
                column_of[row], row_of[column] = column, row
                column = following
            seen[list(before)] = False
            return
        queue.extend(row_of[found].tolist())
