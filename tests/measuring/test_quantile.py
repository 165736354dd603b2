"""The smallest error that a share of the elements does not exceed."""

from __future__ import annotations

import numpy as np
import pytest

from parity.measuring.quantile import quantiles


@pytest.mark.parametrize(
    ("share", "expected"),
    [("0", 1.0), ("0.25", 1.0), ("0.26", 2.0), ("0.5", 2.0), ("0.75", 3.0), ("0.7500001", 4.0), ("1", 4.0)],
)
def test_by_definition(share: str, expected: float) -> None:
    candidate = np.array([-3.0, 1.0, 4.0, -2.0])
    assert quantiles(np.zeros(4), candidate, [share], 4) == {share: expected}


def test_a_share_is_a_decimal_number() -> None:
    # In binary 0.07 * 100 is above 7, which would be the eighth.
    candidate = np.arange(100.0)
    assert quantiles(np.zeros(100), candidate, ["0.07"], 100) == {"0.07": 6.0}


def test_errors_that_differ_in_any_digit_of_their_bits() -> None:
    rng = np.random.default_rng(0)
    bits = np.concatenate([rng.integers(0, 3, 200) << shift for shift in (0, 16, 32, 48)])
    bits += rng.integers(0, 3, bits.size) << 16
    errors = np.sort(bits.astype(np.uint64).view(np.float64))
    shares = {f"{rank}e-2": errors[max(0, rank * 8 - 1)] for rank in range(0, 101, 3)}
    assert quantiles(np.zeros(errors.size), rng.permutation(errors), shares, errors.size) == shares


def test_only_finite_pairs_count() -> None:
    reference, candidate = np.array([0.0, np.nan, 0.0]), np.array([1.0, 5.0, np.inf])
    assert quantiles(reference, candidate, ["1"], 1) == {"1": 1.0}
    assert quantiles(reference[1:], candidate[1:], ["1"], 0) == {"1": 0.0}
