"""Convolution with 3 x 3 windows in float64 by Winograd's F(4 x 4, 3 x 3): a quarter of the multiplications.

A. Lavin and S. Gray, Fast Algorithms for Convolutional Neural Networks (2015), with the interpolation points
0, 1, -1, 2, -2. Tiles of 6 x 6 elements overlap by two and give 4 x 4 results each. All three transformations
are matrix products with both axes at once, on a few rows of tiles that stay in the cache.

It shares work between neighbours, and with it rounding: an error is some 1e-15 of the greatest result nearby,
not of each result. Where that could matter, `shares_rounding` says no.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

import torch
from torch import Tensor

_ELEMENTS = 1 << 20  # of the transformed input that are held at a time: 8 MiB
_CHANNELS = 32  # less, and the transformations cost more than they save
_SPAN = 64.0  # times the usual sum over a place's channels: the greatest one

_INPUT = (
    (4, 0, -5, 0, 1, 0),
    (0, -4, -4, 1, 1, 0),
    (0, 4, -4, -1, 1, 0),
    (0, -2, -1, 2, 1, 0),
    (0, 2, -1, -2, 1, 0),
    (0, 4, 0, -5, 0, 1),
)
_KERNEL = ((6, 0, 0), (-4, -4, -4), (-4, 4, -4), (1, 2, 4), (1, -2, 4), (0, 0, 24))  # times 24
_OUTPUT = ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1))


def suits_winograd(x: Tensor, w: Tensor, stride: Sequence[int], dilation: Sequence[int]) -> bool:
    """Whether `convolve_winograd` takes these operands of a convolution with one group, and gains by it."""
    return (
        w.shape[2:] == (3, 3)
        and all(each == 1 for each in (*stride, *dilation))
        and min(w.shape[:2]) >= _CHANNELS
        and min(x.shape[2:]) >= 8
        and shares_rounding(x)
    )


def shares_rounding(x: Tensor) -> bool:
    """Whether the places of x (N, C, H, W) may share their rounding.

    Not where an element is out of all proportion, or no number: it would spoil its neighbours. And not where
    two places are alike, as on a canvas that is mostly empty: equal windows must give equal results, since
    sorting and masks tell 0 from 1e-17.
    """
    sizes = torch.linalg.vector_norm(x, 1, dim=1).reshape(-1).sort().values  # NaN comes last
    greatest, usual = float(sizes[-1]), float(sizes[len(sizes) // 2])
    if not (isfinite(greatest) and greatest <= _SPAN * usual):
        return False
    return bool((sizes[1:] != sizes[:-1]).all())


def convolve_winograd(x: Tensor, w: Tensor, padding: Sequence[int]) -> Tensor:
    """Cross-correlation of x (N, C, H, W) with w (M, C, 3, 3), stride 1, zeros around x; in float64."""
    height, width = (size + 2 * around - 2 for size, around in zip(x.shape[2:], padding, strict=True))
    down, across = -(-height // 4), -(-width // 4)  # tiles
    result = x.new_empty(x.shape[0], w.shape[0], height, width)
    count = min(down, max(1, _ELEMENTS // (36 * max(w.shape[:2]) * (across + 1))))
    strip = _Strip(w, count, across)
    for image, given in zip(x, result, strict=True):
        for top in range(0, down, count):
            strip.lay_out(image, 4 * top - padding[0], padding[1])
            strip.compute(given[:, 4 * top : 4 * (top + count)])
    return result


class _Strip:
    """Some rows of tiles and the room for all that is made of them, which is used again and again.

    Args:
        w: the kernels, (M, C, 3, 3).
        down: rows of tiles.
        across: tiles in a row. One more is held, for the last two columns of a tile are the next one's first.
    """

    def __init__(self, w: Tensor, down: int, across: int) -> None:
        self._into, self._further, kernel, self._out = _transformations()
        given, taken = w.shape[:2]
        self._kernels = torch.mm(kernel, w.reshape(-1, 9).t()).view(36, given, taken)
        places = down * (across + 1)
        self._dealt = w.new_zeros(4, taken, 4 * down + 2, across + 1)  # columns 0, 4, ...; 1, 5, ...
        self._tiles = w.new_empty(4, 6, taken, down, across + 1)
        self._held = w.new_empty(36, taken * places)
        self._products = w.new_empty(36, given, places)
        self._found = w.new_empty(16, given * places)

    def lay_out(self, image: Tensor, top: int, left: int) -> None:
        """Takes the rows of an image (C, H, W) from `top` on, with `left` columns of zeros before them."""
        rows, height = self._dealt.shape[2], image.shape[1]
        first, last = max(top, 0), min(top + rows, height)
        if last - first < rows:
            self._dealt.zero_()
        for phase in range(4):
            begin = (phase - left) % 4
            some = image[:, first:last, begin::4]
            start = (begin + left) // 4
            self._dealt[phase, :, first - top : last - top, start : start + some.shape[2]] = some
        self._tiles.copy_(self._dealt.unfold(2, 6, 4).permute(0, 4, 1, 2, 3))

    def compute(self, given: Tensor) -> None:
        """Writes the results (M, rows, columns), as many as there is room for."""
        tiles = self._tiles.view(24, -1)
        torch.mm(self._into, tiles, out=self._held)
        self._held[:, :-1].addmm_(self._further, tiles[:12, 1:])
        torch.bmm(self._kernels, self._held.view(36, self._kernels.shape[2], -1), out=self._products)
        torch.mm(self._out, self._products.view(36, -1), out=self._found)
        found = self._found.view(4, 4, given.shape[0], *self._tiles.shape[3:])
        for i in range(4):
            for j in range(4):
                place = given[:, i::4, j::4]
                place.copy_(found[i, j, :, : place.shape[1], : place.shape[2]])


def _transformations() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Of a tile's first four columns, (36, 24), and its last two, (36, 12); of a kernel; of the products.

    A tile's elements are in the order of its columns, all others in that of rows.
    """
    into, kernel, out = (torch.tensor(each, dtype=torch.float64) for each in (_INPUT, _KERNEL, _OUTPUT))
    tile = torch.einsum("pi,qj->pqji", into, into).reshape(36, 36)
    return (
        tile[:, :24].contiguous(),
        tile[:, 24:].contiguous(),
        torch.kron(kernel, kernel) / 24**2,
        torch.kron(out, out),
    )
