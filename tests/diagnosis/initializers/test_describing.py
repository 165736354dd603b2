"""Each way in which a tensor can differ has its own words."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from parity.diagnosis.initializers.describing import Description, describe

RANDOM = np.random.default_rng(0)
WEIGHT = RANDOM.standard_normal((16, 8, 3, 3)).astype(np.float32)
SQUARE = RANDOM.standard_normal((8, 8)).astype(np.float32)
BIAS = RANDOM.standard_normal(8).astype(np.float32)
GATES = RANDOM.standard_normal((2, 32, 12)).astype(np.float32)


def edited(index, value, of=WEIGHT):
    copy = of.copy()
    copy[index] = value(copy[index]) if callable(value) else value
    return copy


def swapped_gates() -> np.ndarray:
    one, two, *rest = np.split(GATES, 4, 1)
    return np.concatenate([two, one, *rest], 1)


def on_grid(axes=None) -> np.ndarray:
    step = np.abs(WEIGHT).max(axes, keepdims=axes is not None) / 127
    return (np.round(WEIGHT / step) * step).astype(np.float32)


@pytest.mark.parametrize(
    ("found", "expected", "message"),
    [
        (
            edited((0, 2, 1, 1), 0.31),
            edited((0, 2, 1, 1), 0.3),
            "one element of 1,152 differs: [0, 2, 1, 1] is 0.31, should be 0.3",
        ),
        (
            edited(2, 1.00002, BIAS),
            edited(2, 1.0, BIAS),
            "one element of 8 differs: [2] is 1.00002, should be 1",
        ),
        (1.5 * WEIGHT, WEIGHT, "is 1.5 times the expected"),
        (1.0002 * WEIGHT, WEIGHT, "is 1.0002 times the expected"),
        (-WEIGHT, WEIGHT, "has the opposite sign"),
        (WEIGHT + 0.05, WEIGHT, "is 0.05 too large everywhere"),
        (0 * BIAS, BIAS, f"is all zeros, should be {BIAS.min():.3g} to {BIAS.max():.3g}"),
        (edited(3, 0.0), WEIGHT, "channel 3 is all zeros"),
        (edited((slice(None), 3), lambda x: 2 * x), WEIGHT, "channel 3 of axis 1 is 2 times the expected"),
        (edited([0, 15], lambda x: x[::-1]), WEIGHT, "channels 0 and 15 are swapped"),
        (edited([2, 5], lambda x: x[::-1], BIAS), BIAS, "elements 2 and 5 are swapped"),
        (WEIGHT[:, :, ::-1], WEIGHT, "channels 0 and 2 of axis 2 are swapped"),
        (WEIGHT[::-1], WEIGHT, "is flipped along axis 0"),
        (SQUARE.T, SQUARE, "is transposed"),
        (WEIGHT.reshape(16, -1).T, WEIGHT.reshape(16, -1), "is transposed"),
        (WEIGHT[:3], WEIGHT, "has shape [3, 8, 3, 3], should be [16, 8, 3, 3]"),
        (
            edited(slice(7), lambda x: x + 0.1 * SQUARE[0, 0] * x**2),
            WEIGHT,
            "7 of 16 channels differ, by up to",
        ),
        (swapped_gates(), GATES, "the 4 blocks of axis 1 are in another order: 1, 0, 2, 3 (gates?)"),
        (WEIGHT + 0.02 * RANDOM.standard_normal(WEIGHT.shape), WEIGHT, "differs everywhere by 2."),
        (RANDOM.standard_normal(WEIGHT.shape), WEIGHT, "differs everywhere (rms 1.4"),
    ],
)
def test_a_value_that_differs(found, expected, message):
    description = describe(np.asarray(found, np.float32), expected)
    assert description.kind == "initializer"
    assert description.message.startswith(message)


def test_gates_are_named_where_there_are_gates():
    description = describe(swapped_gates(), GATES, gates=4)
    assert description == Description("initializer", "gates are in another order: 1, 0, 2, 3")


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (WEIGHT.astype(np.float16), "is rounded to float16"),
        (WEIGHT.astype(ml_dtypes.bfloat16), "is rounded to bfloat16"),
        (on_grid(), "is rounded to an int8 grid of 255 steps"),
        (on_grid((1, 2, 3)), "is rounded to an int8 grid of 255 steps for each channel of axis 0"),
    ],
)
def test_what_is_kept_too_coarsely(found, message):
    assert describe(found.astype(np.float32), WEIGHT) == Description("precision", message)


def test_a_value_that_only_looks_coarse_is_not():
    other = np.round(64 * WEIGHT + 3 * SQUARE[0, 0]) / 64  # every element is a float16, but not the nearest
    assert describe(other.astype(np.float16).astype(np.float32), WEIGHT).kind == "initializer"


def test_what_is_not_a_number():
    assert describe(edited((0, 0, 0, 0), np.nan), WEIGHT).message.startswith(
        "one element is NaN: [0, 0, 0, 0]"
    )
    five = describe(edited((0, 0, 0), np.nan), WEIGHT)
    assert five == Description("nan", "3 elements are NaN, the first at [0, 0, 0, 0]")
    assert "infinite" in describe(edited(3, np.inf), WEIGHT).message
    both = edited(3, -np.inf)
    assert describe(both, both).kind == "initializer"  # a mask, the same on both sides


def test_a_single_value_is_no_rounding() -> None:
    """It lies on every grid of integers."""
    ones, spread = np.ones(16, np.float32), (1 + 0.3 * RANDOM.standard_normal(16)).astype(np.float32)
    assert describe(ones, spread).kind == "initializer"
    assert describe(ones, spread).message.startswith("is 1 everywhere, should be ")
    near = np.full(16, 1.001, np.float32)
    near[3] = 1.002  # within the steps of bfloat16
    assert describe(ones, near).kind == "initializer"
