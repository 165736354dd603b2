"""Decisions for a class: whether both sides' greatest value along an axis is at the same place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from parity.artifacts import Array

from .alignment import Indices


@dataclass(frozen=True)
class Decisions:
    """Which decisions differ.

    Args:
        count: how many there are.
        undecided: of these, those in which the reference's two greatest values are within the margin, or are
            NaN: either class is right.
        flipped: positions, in C order of the tensor without the axis, of the others that differ.
        classes: of reference and candidate at each flipped one.
        margins: of the reference at each flipped one; NaN where it has one.
    """

    count: int
    undecided: int
    flipped: Indices
    classes: tuple[Indices, Indices]
    margins: npt.NDArray[np.float64]


def compare_decisions(reference: Array, candidate: Array, axis: int, margin: float) -> Decisions:
    """The classes that both sides decide for along an axis.

    A decision of the reference stands when its greatest value is more than `margin` above the next. The first
    of equal ones is taken, as argmax does. One with a NaN is never undecided: it has flipped unless both
    sides have their first NaN at the same place.

    Args:
        reference: real numbers of the candidate's shape, at least one along the axis.
        candidate: its counterpart.
        axis: of the classes.
        margin: at least 0.
    """
    ours, theirs = (
        np.moveaxis(each, axis, -1).reshape(-1, each.shape[axis]).astype(np.float64)
        for each in (reference, candidate)
    )
    if not ours.size:
        none = np.zeros(0, np.intp)
        return Decisions(0, 0, none, (none, none), np.zeros(0))
    margins = _margins(ours)
    undecided = margins <= margin
    chosen, other = ours.argmax(axis=1), theirs.argmax(axis=1)
    flipped = np.flatnonzero(~undecided & (chosen != other))
    return Decisions(
        count=len(ours),
        undecided=int(np.count_nonzero(undecided)),
        flipped=flipped,
        classes=(chosen[flipped], other[flipped]),
        margins=margins[flipped],
    )


def _margins(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Greatest less second greatest of each row; infinite for a single class."""
    if values.shape[1] == 1:
        return np.where(np.isnan(values[:, 0]), np.nan, np.inf)
    top = np.partition(values, -2, axis=1)[:, -2:]  # a NaN counts as the greatest
    with np.errstate(invalid="ignore"):
        return np.where(top[:, 1] == top[:, 0], 0.0, top[:, 1] - top[:, 0])
