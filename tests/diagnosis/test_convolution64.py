"""The float64 convolution is PyTorch's, to the rounding of float64."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from parity.diagnosis import convolution64
from parity.diagnosis.convolution64 import convolve, convolve_transposed, suits, suits_transposed


@pytest.mark.parametrize("rows", [1, 3, 1000], ids="{} rows at a time".format)
@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "dilation"),
    [
        ((3, 3), (1, 1), (1, 1), (1, 1)),
        ((3, 3), (2, 2), (1, 1), (1, 1)),
        ((1, 7), (1, 3), (0, 3), (1, 1)),
        ((3, 2), (2, 1), (0, 2), (2, 3)),
    ],
)
def test_it_is_torch_s_convolution(
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    rows: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 16, 13, 17, generator=generator, dtype=torch.float64)
    w = torch.randn(5, 16, *kernel, generator=generator, dtype=torch.float64)
    b = torch.randn(5, generator=generator, dtype=torch.float64)
    monkeypatch.setattr(convolution64, "_ELEMENTS", rows * 16 * kernel[0] * kernel[1] * 17)
    wanted = functional.conv2d(x, w, b, stride, padding, dilation)
    torch.testing.assert_close(convolve(x, w, b, stride, padding, dilation), wanted, rtol=0, atol=1e-12)
    turned = x.permute(0, 1, 3, 2).contiguous().permute(0, 1, 3, 2)
    torch.testing.assert_close(convolve(turned, w, b, stride, padding, dilation), wanted, rtol=0, atol=1e-12)


def test_what_it_does_not_take() -> None:
    x, w = torch.zeros(1, 16, 8, 8, dtype=torch.float64), torch.zeros(4, 16, 3, 3, dtype=torch.float64)
    assert suits(x, w, 1)
    assert not suits(x, w[:, :4], 4)
    assert not suits(x.float(), w, 1)
    assert not suits(x, w[..., :1, :1], 1)
    assert not suits(x[0], w, 1)


@pytest.mark.parametrize("rows", [1, 1000], ids="{} rows at a time".format)
@pytest.mark.parametrize("kernel", [(2, 2), (4, 4), (1, 3)], ids=str)
def test_it_is_torch_s_transposed_convolution(
    kernel: tuple[int, int], rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 6, 5, 7, generator=generator, dtype=torch.float64)
    w = torch.randn(6, 3, *kernel, generator=generator, dtype=torch.float64)
    monkeypatch.setattr(convolution64, "_ELEMENTS", rows * 3 * kernel[0] * kernel[1] * 7)
    assert suits_transposed(x, w, kernel, (1, 1), 1)
    wanted = functional.conv_transpose2d(x, w, stride=kernel)
    torch.testing.assert_close(convolve_transposed(x, w), wanted, rtol=0, atol=1e-12)
    turned = x.permute(0, 1, 3, 2).contiguous().permute(0, 1, 3, 2)
    torch.testing.assert_close(convolve_transposed(turned, w), wanted, rtol=0, atol=1e-12)


def test_transposed_windows_that_overlap_or_leave_gaps_are_not_taken() -> None:
    x, w = torch.zeros(1, 4, 8, 8, dtype=torch.float64), torch.zeros(4, 2, 2, 2, dtype=torch.float64)
    assert suits_transposed(x, w, [2, 2], [1, 1], 1)
    assert not suits_transposed(x, w, [1, 1], [1, 1], 1)
    assert not suits_transposed(x, w, [2, 3], [1, 1], 1)
    assert not suits_transposed(x, w, [2, 2], [2, 2], 1)
    assert not suits_transposed(x, w, [2, 2], [1, 1], 2)
    assert not suits_transposed(x.float(), w.float(), [2, 2], [1, 1], 1)
