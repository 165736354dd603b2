"""The parameter that a constant of the file most likely was before it was altered, by its values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from parity.artifacts import Array

from .candidates import Candidate
from .differences import RELATIVE
from .layouts import layouts

Floats = npt.NDArray[np.float64]

_SAMPLE = 4096
_GLIMPSE, _KEPT = 128, 8  # elements by which many candidates are cut down to a few
SIGNIFICANT = 6.0
"""Standard deviations of a correlation that a pair out of very many has by chance once in 10^9."""


@dataclass(frozen=True, eq=False)
class Likeness:
    """How like a parameter, in one layout, a constant is.

    Args:
        expected: the parameter in the layout of the file.
        equal: share of the elements that are the same; of those that say something.
        correlation: 0 where it is not significant.
    """

    candidate: Candidate
    relation: str
    expected: Array
    equal: float
    correlation: float

    @property
    def score(self) -> float:
        """Equal elements are the better evidence."""
        return max(1 + self.equal if self.equal >= 0.3 else 0.0, self.correlation)


def likenesses(
    found: Array, candidates: Sequence[Candidate], significant: float = SIGNIFICANT
) -> list[Likeness]:
    """How like each candidate, in its best layout, a constant is; the most like first."""
    index = _sample(found.size)
    where = np.unravel_index(index, found.shape)
    some = found[where].astype(np.float64)
    result = []
    for candidate in _promising(found, candidates):
        each = [
            Likeness(
                candidate, relation, value, *_compare(some, value[where].astype(np.float64), significant)
            )
            for relation, value in layouts(candidate.value, found.shape)
        ]
        if each:
            result.append(max(each, key=lambda likeness: likeness.score))
    return sorted(result, key=lambda likeness: -likeness.score)


def _promising(found: Array, candidates: Sequence[Candidate]) -> Sequence[Candidate]:
    """Those whose few first looks are most like the constant: what is far from all is no one's copy."""
    if len(candidates) <= 2 * _KEPT:
        return candidates
    where = np.unravel_index(_glimpse(found.size), found.shape)
    views: list[Floats] = []
    owners: list[int] = []
    for number, candidate in enumerate(candidates):
        if found.shape not in candidate.glimpses:
            few = [value[where] for _, value in layouts(candidate.value, found.shape)]
            candidate.glimpses[found.shape] = np.array(few, dtype=np.float64).reshape(len(few), -1)
        views.append(candidate.glimpses[found.shape])
        owners += [number] * len(views[-1])
    likely = _at_a_glimpse(found[where].astype(np.float64), np.concatenate(views))
    kept: dict[int, None] = {}
    for row in np.argsort(likely, kind="stable")[::-1]:
        kept.setdefault(owners[row])
        if len(kept) == _KEPT:
            break
    return [candidates[number] for number in kept]


def _at_a_glimpse(few: Floats, views: Floats) -> Floats:
    """How like each row is: the share of equal elements, or the correlation where that is more."""
    sizes = np.sqrt(np.mean(np.square(views), axis=1, keepdims=True))
    with np.errstate(invalid="ignore"):
        equal = np.abs(views - few) <= 4 * RELATIVE * (np.abs(views) + sizes)
    return np.asarray(np.maximum(equal.mean(1), np.abs(_standard(views) @ _standard(few[None])[0])))


@lru_cache(maxsize=64)
def _glimpse(size: int) -> npt.NDArray[np.int64]:
    """Positions of a few elements: all of a small tensor."""
    if size <= 4 * _GLIMPSE:
        return np.arange(size)
    return np.random.default_rng(1).integers(0, size, _GLIMPSE)


def _standard(rows: Array) -> Floats:
    """Each row with mean 0 and norm 1, so that products are correlations; what is not finite counts as 0."""
    values = np.nan_to_num(rows.astype(np.float64), posinf=0.0, neginf=0.0)
    values = values - values.mean(1, keepdims=True)
    norm = np.linalg.norm(values, axis=1, keepdims=True)
    return np.asarray(values / np.where(norm > 0, norm, 1.0))


def clearly_nearest(ranked: list[Likeness]) -> Likeness | None:
    """The first, if it is like the constant at all and no other one is nearly as like."""
    if not ranked or ranked[0].score < 0.6:
        return None
    best = ranked[0]
    if len(ranked) > 1:
        second = ranked[1]
        if best.equal >= 0.3 and second.equal > 0.7 * best.equal:
            return None
        if best.equal < 0.3 and 1 - best.correlation > 0.5 * (1 - second.correlation):
            return None
    return best


def parametrized(name: str) -> bool:
    """Whether forward makes the weight of this parameter: weight norm, spectral norm and their like."""
    return ".parametrizations." in f".{name}" or name.endswith(("_orig", "_v", "_g"))


def computed_from(found: Array, expected: Array) -> bool:
    """Whether a constant looks like what forward makes of a parameter, rather than like an altered copy.

    A function of each element keeps their order, one of each channel is a factor and a shift; neither is
    what a file's fault does, except for one factor for all, which only a strange number gives away.
    """
    one, other = (each.astype(np.float64) for each in (found, expected))
    if not np.all(np.isfinite(one)) or one.size < 2:
        return False
    factor = float(np.vdot(one, other)) / max(float(np.vdot(other, other)), float(np.finfo(np.float64).tiny))
    if np.all(np.abs(one - factor * other) <= 4 * RELATIVE * np.abs(one).max()):
        return _likely_factor(factor)
    if _linear(one.reshape(1, -1), other.reshape(1, -1)):
        return True
    if any(
        _linear(*(np.moveaxis(each, axis, 0).reshape(each.shape[axis], -1) for each in (one, other)))
        for axis in range(one.ndim if one.ndim > 1 else 0)
    ):
        return True
    # Noise may keep the order of a few elements, but not move them far.
    far = float(np.linalg.norm(one - other)) > 0.3 * float(np.linalg.norm(other))
    steps = np.diff(one.reshape(-1)[np.argsort(other, axis=None)])
    return bool((one.size >= 32 or far) and (np.all(steps >= 0) or np.all(steps <= 0)))


def _likely_factor(factor: float) -> bool:
    """Whether a module may have this factor: a ratio of small numbers or of their roots, like 1/sqrt(64)."""
    size = abs(factor)
    if not 1e-6 < size < 1e6:
        return True
    squares = [size, 1 / size, size**2, size**-2, 2 * size**2, 2 * size**-2]
    whole = any(abs(each - round(each)) <= 1e-5 * each and round(each) > 0 for each in squares if each < 1e5)
    return whole or min(abs(size * e - 1) for e in (np.log2(np.e), np.log(2))) < 1e-5


def _linear(found: Floats, expected: Floats) -> bool:
    """Whether each row is a factor times the other's, plus a shift; and the factors differ by row."""
    if found.shape[1] < 4:
        return False
    centred = expected - expected.mean(1, keepdims=True)
    power = np.square(centred).sum(1, keepdims=True)
    if not np.all(power > 0):
        return False
    factors = ((found - found.mean(1, keepdims=True)) * centred).sum(1, keepdims=True) / power
    rest = found - found.mean(1, keepdims=True) - factors * centred
    fits = np.all(np.abs(rest) <= 4 * RELATIVE * np.abs(found).max(1, keepdims=True))
    # A few channels that differ from the others by a factor are a fault; all with one of their own are not.
    ordinary = np.abs(factors - 1) <= 1e-5
    return bool(fits and np.all(factors != 0) and (len(factors) == 1 or ordinary.mean() < 0.5))


def _compare(found: Floats, expected: Floats, significant: float) -> tuple[float, float]:
    """Share of equal elements and correlation; 0 where they say nothing."""
    finite = np.isfinite(found) & np.isfinite(expected)
    found, expected = found[finite], expected[finite]
    count = len(found)
    if count < 2 or np.ptp(expected) == 0:
        return 0.0, 0.0
    size = float(np.sqrt(np.mean(np.square(expected))))
    equal = np.abs(found - expected) <= 4 * RELATIVE * (np.abs(expected) + size)
    # Numbers that come often, as 0 in a mask, are equal by chance: each value counts once.
    values = len(np.unique(expected[equal]))
    share = values / len(np.unique(expected)) if values >= 3 else 0.0
    if count < 5 or np.ptp(found) == 0:
        return share, 0.0
    r = float(np.corrcoef(found, expected)[0, 1])
    deviations = float(np.arctanh(min(abs(r), 1 - 1e-12))) * np.sqrt(count - 3)
    return share, abs(r) if deviations >= significant else 0.0


@lru_cache(maxsize=64)
def _sample(size: int) -> npt.NDArray[np.int64]:
    """Positions of elements: all of a small tensor."""
    if size <= _SAMPLE:
        return np.arange(size)
    return np.unique(np.random.default_rng(0).integers(0, size, _SAMPLE))
