"""Where two tensors differ beyond float32 arithmetic, by which factor, and numbers that tell them apart."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

# float32 arithmetic on a weight (a folded norm) keeps this much of an element, and of the tensor's size.
RELATIVE = 1e-6


def number(value: float) -> str:
    """A number with three significant digits."""
    return f"{float(value):.3g}"


def tolerance(expected: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """By element, how far a float32 tensor may be from the expected one and still be the same."""
    finite = expected[np.isfinite(expected)]
    rms = float(np.sqrt(np.mean(np.square(finite)))) if finite.size else 0.0
    return RELATIVE * (np.abs(expected) + rms) + float(np.finfo(np.float32).tiny)


@dataclass(frozen=True)
class Pair:
    """Two tensors of one shape in float64, and where they differ."""

    found: npt.NDArray[np.float64]
    expected: npt.NDArray[np.float64]
    gates: int = 0

    @cached_property
    def nonfinite(self) -> npt.NDArray[np.bool_]:
        """What is NaN or infinite in one and not the same in the other."""
        odd = ~np.isfinite(self.found) | ~np.isfinite(self.expected)
        same = (self.found == self.expected) | (np.isnan(self.found) & np.isnan(self.expected))
        return np.asarray(odd & ~same)

    @cached_property
    def difference(self) -> npt.NDArray[np.float64]:
        with np.errstate(invalid="ignore"):
            difference = self.found - self.expected
        return np.where(np.isfinite(self.found) & np.isfinite(self.expected), difference, 0.0)

    @cached_property
    def differs(self) -> npt.NDArray[np.bool_]:
        within = np.abs(self.difference) <= tolerance(self.expected)
        return ~within & np.isfinite(self.expected)


def scale_of(found: npt.NDArray[np.float64], expected: npt.NDArray[np.float64]) -> float | None:
    """The factor between two tensors, None where it is not one and the same everywhere."""
    power = float(np.vdot(expected, expected))
    if not power > 0 or not np.isfinite(power):
        return None
    factor = float(np.vdot(found, expected)) / power
    fits = np.abs(found - factor * expected) <= 2 * tolerance(factor * expected)
    return factor if factor != 0 and bool(fits.all()) else None


def ratio(factor: float) -> str:
    """`1.02 times`, with as many digits as it needs to differ from 1."""
    digits = next((n for n in range(3, 10) if float(f"{factor:.{n}g}") != 1), 9)
    return f"{factor:.{digits}g} times"


def distinct(found: float, expected: float) -> tuple[str, str]:
    """Two numbers, short, but with as many digits as tell them apart."""
    for digits in range(3, 10):
        texts = f"{float(found):.{digits}g}", f"{float(expected):.{digits}g}"
        if texts[0] != texts[1]:
            break
    return texts
