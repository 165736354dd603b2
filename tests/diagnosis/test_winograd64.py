"""Convolution that shares work, against sums of products with 64 bits of precision."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from parity.diagnosis.convolution64 import convolve
from parity.diagnosis.winograd64 import convolve_winograd, shares_rounding, suits_winograd

ONCE = [1, 1]
Wide = npt.NDArray[np.longdouble]


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def exactly(x: Tensor, w: Tensor, padding: tuple[int, int]) -> Wide:
    """Every sum in NumPy's long double, without any algorithm."""
    around = ((0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2)
    padded = np.pad(x.numpy().astype(np.longdouble), around)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    found: Wide = np.einsum("nchwij,mcij->nmhw", windows, w.numpy().astype(np.longdouble))
    return found


@pytest.mark.skipif(
    bool(np.finfo(np.longdouble).eps > 1e-18), reason="long double is no wider than double here"
)
@pytest.mark.parametrize(
    ("shape", "given", "padding"),
    [
        ((1, 32, 8, 8), 32, (1, 1)),
        ((2, 33, 9, 14), 40, (1, 1)),
        ((1, 48, 11, 10), 32, (0, 0)),
        ((1, 32, 10, 13), 35, (2, 0)),
        ((1, 32, 8, 8), 32, (3, 5)),
        ((1, 64, 70, 70), 32, (1, 1)),  # several strips
    ],
)
def test_every_element_is_right_to_a_few_units_of_float64(
    shape: tuple[int, ...], given: int, padding: tuple[int, int]
) -> None:
    x, w = drawn(*shape).relu(), drawn(given, shape[1], 3, 3, seed=1)

    found = convolve_winograd(x, w, padding).numpy()
    expected = exactly(x, w, padding)

    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 1e-13 * np.abs(expected).max()
    # In the unit of a sum of products, it is hardly worse than any order of summing up.
    unit = exactly(x.abs(), w.abs(), padding)
    assert (np.abs(found - expected) <= 1e-13 * unit.max()).all()


def test_the_bias_is_added_and_the_operands_stay_as_they_are() -> None:
    x, w, b = drawn(1, 32, 12, 12), drawn(32, 32, 3, 3, seed=1), drawn(32, seed=2)
    before = x.clone(), w.clone()

    found = convolve(x, w, b, ONCE, ONCE, ONCE)

    assert suits_winograd(x, w, ONCE, ONCE)
    torch.testing.assert_close(found, torch.conv2d(x, w, b, 1, 1), rtol=0, atol=1e-12)
    torch.testing.assert_close((x, w), before, rtol=0, atol=0)


def test_views_with_gaps_are_read_as_they_lie() -> None:
    x, w = drawn(1, 12, 14, 64).permute(0, 3, 1, 2)[:, ::2], drawn(32, 32, 3, 3, seed=1)

    torch.testing.assert_close(
        convolve_winograd(x, w, (1, 1)), torch.conv2d(x, w, None, 1, 1), rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), -1e30])
def test_an_element_that_would_spoil_its_neighbours_is_kept_to_its_own_windows(odd: float) -> None:
    x, w = drawn(1, 32, 12, 12), drawn(32, 32, 3, 3, seed=1)
    x[0, 3, 5, 5] = odd

    found = convolve(x, w, None, ONCE, ONCE, ONCE)

    assert not shares_rounding(x)
    expected = torch.conv2d(x, w, None, 1, 1)
    far = torch.ones(12, 12, dtype=torch.bool)
    far[4:7, 4:7] = False
    torch.testing.assert_close(found[..., far], expected[..., far], rtol=0, atol=1e-12)
    assert torch.equal(found.isfinite(), expected.isfinite())


def test_equal_windows_give_equal_results() -> None:
    """As on a canvas of which most is empty: what is alike must stay alike, for masks and sorting."""
    x, w = torch.full((1, 32, 20, 20), 0.3, dtype=torch.float64), drawn(32, 32, 3, 3, seed=1)
    x[..., 2:7, 3:8] = drawn(1, 32, 5, 5)

    found = convolve(x, w, None, ONCE, ONCE, ONCE)[0, :, 9:19, 10:19].reshape(32, -1)

    assert not shares_rounding(x)
    assert (found == found[:, :1]).all()


@pytest.mark.parametrize(
    ("x", "w", "stride", "dilation"),
    [
        ((1, 32, 12, 12), (32, 32, 3, 3), [2, 2], [1, 1]),
        ((1, 32, 12, 12), (32, 32, 3, 3), [1, 1], [1, 2]),
        ((1, 32, 12, 12), (32, 32, 3, 5), [1, 1], [1, 1]),
        ((1, 8, 12, 12), (32, 8, 3, 3), [1, 1], [1, 1]),
        ((1, 32, 4, 12), (32, 32, 3, 3), [1, 1], [1, 1]),
    ],
)
def test_others_are_not_taken(
    x: tuple[int, ...], w: tuple[int, ...], stride: list[int], dilation: list[int]
) -> None:
    assert not suits_winograd(drawn(*x), drawn(*w), stride, dilation)
