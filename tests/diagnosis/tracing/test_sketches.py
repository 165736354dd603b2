"""Sketches tell how far two tensors are apart, small and large, in any layout."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from parity.diagnosis.tracing import sketch

SIZES = pytest.mark.parametrize("shape", [(3, 5), (16, 256), (7, 11, 1303), (8, 64, 64, 33)])


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@SIZES
def test_equal_tensors_are_at_distance_zero(shape: tuple[int, ...]) -> None:
    tensor = normal(*shape)
    assert sketch(tensor).distance(sketch(tensor.clone())) == 0.0
    assert sketch(tensor).rms_distance(sketch(tensor.clone())) == 0.0


@SIZES
def test_one_element_that_differs_is_seen_wherever_it_is(shape: tuple[int, ...]) -> None:
    tensor = normal(*shape)
    for position in (0, tensor.numel() // 2, tensor.numel() - 1):
        other = tensor.clone()
        other.view(-1)[position] += 1.0
        block = max(1, tensor.numel() // 2048)
        assert sketch(tensor).distance(sketch(other)) > 0.1 / math.sqrt(block)


@SIZES
def test_the_distance_of_rounding_is_its_size(shape: tuple[int, ...]) -> None:
    tensor = normal(*shape)
    rounded = tensor * (1 + 1e-6 * normal(*shape, seed=1))
    assert 1e-7 < sketch(tensor).distance(sketch(rounded)) < 2e-5
    exact = float((tensor - rounded).square().mean().sqrt() / tensor.square().mean().sqrt())
    assert sketch(tensor).rms_distance(sketch(rounded)) == pytest.approx(exact, rel=0.1)


@SIZES
def test_another_shape_of_the_same_elements_is_equal(shape: tuple[int, ...]) -> None:
    tensor = normal(*shape)
    assert sketch(tensor).distance(sketch(tensor.reshape(-1, 1))) == 0.0
    assert sketch(tensor).reshaped((tensor.numel(),)).shape == (tensor.numel(),)


@SIZES
def test_another_layout_has_the_same_values_only(shape: tuple[int, ...]) -> None:
    tensor = normal(*shape)
    turned = sketch(tensor.transpose(0, -1))
    assert sketch(tensor).same_values(turned, 1e-9)
    assert sketch(tensor).distance(turned) > 0.1
    assert not sketch(tensor).same_values(sketch(2 * tensor), 1e-3)


def test_a_mask_does_not_hide_what_it_lets_through() -> None:
    scores = normal(64, 64)
    mask = torch.where(normal(64, 64, seed=1) > 0, 0.0, torch.finfo(torch.float32).min)
    masked, off = sketch(scores + mask), sketch(scores + 0.1 + mask)
    assert masked.distance(off) > 1e-4
    assert sketch(scores + mask).distance(sketch(scores + 1.5 * mask)) == 0.0  # saturated


@pytest.mark.parametrize("size", [10, 20_000])
def test_nan_meets_nan_only(size: int) -> None:
    tensor, other = normal(size), normal(size)
    tensor[3] = math.nan
    assert sketch(tensor).distance(sketch(tensor.clone())) == 0.0
    assert sketch(tensor).distance(sketch(other)) > 0.1
    assert sketch(tensor).statistics.nonfinite == 1
    assert math.isfinite(sketch(tensor).rms)
    assert sketch(torch.full((size,), math.nan)).distance(sketch(other)) > 0.1


def test_infinity_meets_the_same_infinity() -> None:
    tensor = normal(10)
    tensor[3] = math.inf
    assert sketch(tensor).distance(sketch(tensor.clone())) == 0.0
    assert sketch(tensor).distance(sketch(torch.where(tensor.isinf(), -tensor, tensor))) > 0.1


def test_statistics_are_of_the_finite_elements() -> None:
    statistics = sketch(torch.tensor([1.0, 2.0, 3.0, math.nan, math.inf])).statistics
    assert (statistics.minimum, statistics.maximum, statistics.mean) == (1.0, 3.0, 2.0)
    assert statistics.std == pytest.approx(math.sqrt(2 / 3))
    assert statistics.nonfinite == 2


def test_every_dtype_has_a_sketch() -> None:
    for dtype in (torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool, torch.complex64):
        tensor = torch.tensor([0, 1, 1]).to(dtype)
        assert sketch(tensor).distance(sketch(tensor)) == 0.0
        assert sketch(tensor).is_float == (tensor.is_floating_point() or tensor.is_complex())
    assert sketch(torch.zeros(0, 4)).distance(sketch(torch.zeros(4, 0))) == 0.0
    assert sketch(torch.zeros(3)).is_constant_value
    assert sketch(torch.zeros(3)).distance(sketch(torch.zeros(4))) == math.inf
