"""Positions on both sides that belong together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from parity.artifacts import Array

Indices = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Side:
    """One tensor of a group on both sides, with the bound on each of its elements.

    Args:
        reference: (units, width): a row of it is what is matched.
        candidate: (other units, width), of the same dtype.
        atol: with `rtol`, the bound atol + rtol * |reference| below which two elements may be the same; None:
            this tensor goes along and does not decide.
        rtol: see `atol`.
        equal_nan: NaN meets NaN.
    """

    reference: Array
    candidate: Array
    atol: float | None = 0.0
    rtol: float | None = 0.0
    equal_nan: bool = False


@dataclass(frozen=True)
class Alignment:
    """Units of the reference and of the candidate that stand for each other.

    Args:
        reference: positions, ascending.
        candidate: the position that belongs to each.
        lone_reference: positions without a counterpart.
        lone_candidate: the same of the candidate.
        guessed: pairs that are beyond the bound and might as well be others.
    """

    reference: Indices
    candidate: Indices
    lone_reference: Indices
    lone_candidate: Indices
    guessed: int = 0

    @property
    def moved(self) -> int:
        """How many units are at another place."""
        return int(np.count_nonzero(self.reference != self.candidate))


def joined(parts: Sequence[tuple[Alignment, int, int]]) -> Alignment:
    """One alignment of several, each with what is to be added to its positions on either side."""
    none = np.zeros(0, np.intp)

    def together(name: str, side: int) -> Indices:
        found = [getattr(part[0], name) + part[side] for part in parts]
        return np.concatenate([none, *found])

    return Alignment(
        reference=together("reference", 1),
        candidate=together("candidate", 2),
        lone_reference=together("lone_reference", 1),
        lone_candidate=together("lone_candidate", 2),
        guessed=sum(part.guessed for part, _, _ in parts),
    )
