"""Inputs that are odd are named; inputs as networks get them are not."""

from __future__ import annotations

import pytest
import torch
from support.architectures import ARCHITECTURES, build
from torch import Tensor

from parity.diagnosis.reference_leg.inputs import diagnose_inputs
from parity.records.diagnosis import Cause


def diagnose(**tensors: Tensor) -> tuple[Cause, ...]:
    causes = diagnose_inputs(tensors)
    assert all(cause.kind == "input" for cause in causes)
    return causes


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_inputs_of_networks_are_not_odd(name: str) -> None:
    module = build(name)
    assert diagnose(**dict(zip(module.input_names, module.example_inputs(0), strict=False))) == ()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_pixels_are_not_odd(dtype: torch.dtype) -> None:
    assert diagnose(x=torch.randint(0, 256, (1, 3, 32, 32)).to(dtype)) == ()


def test_integers_and_short_vectors_are_not_odd() -> None:
    tensors = {"mask": torch.ones(4, 64, dtype=torch.int64), "scale": torch.ones(2), "none": torch.ones(0)}
    assert diagnose(**tensors) == ()


def test_nonfinite_elements_are_counted_and_located() -> None:
    x = torch.randn(2, 3, 4)
    x[0, 2, 1] = x[1, 0, 0] = float("nan")
    x[1, 2, 3] = float("-inf")
    (cause,) = diagnose(image=x, other=torch.randn(4, 4))
    assert cause.message == "the input 'image' has 2 NaN and 1 -inf in 24 elements, the first at [0, 2, 1]"
    assert cause.tensor == "image"


def test_a_range_that_overflows() -> None:
    assert diagnose(x=torch.linspace(-300, 300, 32)) == ()
    (cause,) = diagnose(x=torch.linspace(-300, 300, 32).half())
    assert "up to 300: their squares overflow float16" in cause.message
    (cause,) = diagnose(x=torch.tensor([1e20, 0.0]))
    assert "overflow float32" in cause.message


def test_a_constant_comes_last() -> None:
    first, last = diagnose(constant=torch.zeros(4, 8), x=torch.tensor([float("nan"), 1.0]))
    assert first.tensor == "x"
    assert last.message == "the input 'constant' is 0 throughout"
