"""What is allowed of an output, how its two tensors differ, and each criterion that was checked.

Every number is finite: what is not a number is counted in `Measurement.nonfinite`, and an infinite
factor is None.
"""

from __future__ import annotations

from typing import Literal

from .matching import Matching, MatchKind
from .tensors import Record


class Tolerance(Record):
    """The tolerance of one output as it was applied: defaults filled in. None: not asked for."""

    pattern: str  # as the specification has it
    line: int | None = None  # its line in the specification
    column: int | None = None
    atol: float | None = None
    rtol: float | None = None
    max_abs: float | None = None
    mean_abs: float | None = None
    rms: float | None = None
    cosine: float | None = None
    snr_db: float | None = None
    ulp: float | None = None
    quantile: dict[str, float] = {}  # "0.999" -> greatest absolute error of that share
    mismatch: float | None = None  # share of elements that may exceed atol + rtol * |reference|
    noise_factor: float | None = None  # greatest absolute error in multiples of the noise floor
    noise_floor: float | None = None  # of this output on these inputs; None: not asked for, or not measured
    exact: bool | None = None
    equal_nan: bool = False
    match: MatchKind | None = None  # None: element by element, in their order
    axis: int | None = None  # of `match`; None: the kind's own
    together: tuple[str, ...] = ()  # outputs whose rows move with this one's, or the indices of a top k
    margin: float | None = None  # argmax: of two classes of the reference, below which either is right
    optional_below: float | None = None  # a row whose score, in this output, is no greater may be missing
    score_column: int | None = None  # where in a row the score is
    dtype: Literal["same", "any"] = "same"  # any: two float dtypes are compared by value


class Element(Record):
    """One element that stands out. Values are text, so that NaN, strings and 64-bit integers survive."""

    index: tuple[int, ...]  # in the reference; in the candidate too, but for `candidate_index`
    reference: str
    candidate: str
    abs_error: float | None  # None where it is not a finite number
    candidate_index: tuple[int, ...] | None = None  # where it is matched with one at another place


class Nonfinite(Record):
    """Elements that are no finite number, and those of them that do not meet their equal."""

    reference_nan: int = 0
    candidate_nan: int = 0
    reference_inf: int = 0
    candidate_inf: int = 0
    mismatched: int = 0


class Measurement(Record):
    """How two tensors of one shape and dtype differ.

    Errors are candidate minus reference in a type that holds any difference; the statistics are over the
    elements that are finite on both sides.
    """

    elements: int
    compared: int  # elements finite on both sides
    max_abs: float
    mean_abs: float
    rms: float
    cosine: float | None  # None: one side is all zeros
    snr_db: float | None  # None: no error at all or, where there is one, a reference of zeros
    mismatched: int  # elements beyond atol + rtol * |reference|, or non-finite and unequal
    bound_factor: float | None  # largest |error| / (atol + rtol * |reference|); None: infinite
    largest: Element | None  # the greatest absolute error; None for an empty tensor
    worst: Element | None  # the greatest factor beyond the bound; a non-finite mismatch first
    nonfinite: Nonfinite = Nonfinite()
    reference_max_abs: float = 0.0
    ulp: float | None = None  # greatest distance in units in the last place; only when asked for
    quantile: dict[str, float] = {}  # absolute errors, as asked for
    matching: Matching | None = None  # where the tolerance matches; errors are of what is matched


class Check(Record):
    """One criterion of a tolerance. `factor` is how far beyond it is: above 1 has failed."""

    criterion: str  # "atol + rtol", "cosine", ...
    limit: str
    measured: str
    passed: bool
    factor: float | None  # None: infinite
