"""The tolerance of one pattern of outputs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from parity.records.matching import MatchKind
from parity.spec.fields import NonNegative, Share, SpecModel, Text, Texts

# Bounds that anything meets, cosine -1 and mismatch 1, are no criteria.
Cosine = Annotated[float, Field(gt=-1, le=1)]
Mismatch = Annotated[float, Field(ge=0, lt=1)]
Column = Annotated[int, Field(ge=0)]
Multiple = Annotated[float, Field(gt=0)]
Quantiles = Annotated[dict[Share, NonNegative], Field(min_length=1)]


class ToleranceSpec(SpecModel):
    """How far an output may be from the reference. All that is given must hold.

    An empty mapping asks for the element-wise check with the defaults of the output's dtype.
    """

    atol: NonNegative | None = Field(
        None,
        description="Element-wise: abs(candidate - reference) <= atol + rtol * abs(reference). Given one of "
        "atol and rtol, the other is 0.",
        examples=[1.0e-4],
    )
    rtol: NonNegative | None = Field(
        None, description="The part of the element-wise bound relative to abs(reference).", examples=[1.0e-4]
    )
    max_abs: NonNegative | None = Field(None, description="Greatest absolute error.", examples=[1.0e-3])
    noise_factor: Multiple | None = Field(
        None,
        description="Greatest absolute error in multiples of the output's noise floor, which is measured on "
        "each input set: the greatest difference of the reference under strict numerics from the same in "
        "float64.",
        examples=[10],
    )
    mean_abs: NonNegative | None = Field(None, description="Mean absolute error.", examples=[1.0e-5])
    rms: NonNegative | None = Field(None, description="Root of the mean squared error.", examples=[1.0e-5])
    cosine: Cosine | None = Field(
        None, description="Least cosine similarity of the two outputs, flattened.", examples=[0.9999]
    )
    snr_db: float | None = Field(
        None,
        description="Least signal-to-noise ratio in dB, 10 log10(sum r^2 / sum (c - r)^2).",
        examples=[60],
    )
    ulp: NonNegative | None = Field(
        None, description="Greatest distance in units in the last place of the output's dtype.", examples=[4]
    )
    quantile: Quantiles | None = Field(
        None,
        description="Share of the elements -> the absolute error that this share must not exceed.",
        examples=[{0.999: 1.0e-3}],
    )
    mismatch: Mismatch | None = Field(
        None,
        description="Share of the elements that may be beyond atol + rtol * abs(reference), of the dtype's "
        "defaults when neither is given.",
        examples=[0.001],
    )
    exact: bool | None = Field(
        None,
        description="true: every element must be equal. false: integers, booleans and strings are judged "
        "by the other criteria too.",
        examples=[True],
    )
    equal_nan: bool = Field(
        False, description="NaN meets NaN. Otherwise any NaN is a failure.", examples=[True]
    )
    match: MatchKind | None = Field(
        None,
        description="What is compared with what, in place of element by element: rows (in any order, one to "
        "one), sorted (values in any order), topk (entries by their index), argmax (only which class is the "
        "greatest).",
        examples=["rows"],
    )
    axis: int | None = Field(
        None,
        description="match: the axis along which rows, sorted values, k entries or classes lie. rows: 0 "
        "otherwise, axes before it are batches. topk and argmax: the last otherwise. sorted: all values "
        "together otherwise.",
        examples=[1],
    )
    together: Texts | None = Field(
        None,
        description="match: rows: other outputs whose rows move with those of this one, each with its own "
        "tolerance. match: topk: the output with the indices.",
        examples=[["scores", "labels"]],
    )
    margin: NonNegative | None = Field(
        None,
        description="match: argmax: how far the reference's greatest value must be above the next for the "
        "class to count; 0 otherwise.",
        examples=[0.01],
    )
    optional_below: float | None = Field(
        None,
        description="The scores among rows that are matched: a row whose score is no greater may be missing "
        "on either side.",
        examples=[0.051],
    )
    score_column: Column | None = Field(
        None,
        description="optional_below: where in a row the score is, from 0; needed where a row has several "
        "values.",
        examples=[4],
    )
    dtype: Literal["same", "any"] = Field(
        "same",
        description="`any`: two float dtypes are compared by value, with the defaults of the coarser. "
        "Otherwise another dtype is a failure.",
        examples=["any"],
    )


Tolerances = Annotated[dict[Text, ToleranceSpec], Field(min_length=1)]
"""Pattern of outputs -> tolerance."""
