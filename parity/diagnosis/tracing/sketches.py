"""A tensor's fingerprint: enough to tell how far two tensors are apart without keeping either.

Small tensors are kept whole. Of larger ones every block of elements is projected on two random sign vectors,
which are the same for all tensors of a size: projections of a difference are the differences of projections,
and their size tells the difference's norm (the Johnson-Lindenstrauss lemma). A change anywhere shows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from math import inf, isfinite, prod

import torch
from torch import Tensor

from parity.records.diagnosis import Statistics

_WHOLE = 4096  # elements up to which a tensor is kept
_BLOCKS = 2048  # of a larger one
_PROJECTIONS = 2
_PIECE = 1 << 17  # elements, 1 MiB: a cache holds them, and calls are few
_LIMIT = float(torch.finfo(torch.float32).max)
_COMPRESSED = 1e6  # greatest value above which all are compressed: else a mask of finfo.min hides the rest


@dataclass(frozen=True, slots=True, eq=False)
class Sketch:
    """The fingerprint of one tensor. Elements beyond float32's range count as its greatest.

    Args:
        shape: of the tensor.
        is_float: whether its elements are floating or complex numbers.
        statistics: of its finite elements, as they are.
        rms: root mean square of the elements that are no NaN, after compression.
        values: all elements in flat order, of a small tensor.
        projections: [blocks, 2], of a large one.
        moments: figures that do not depend on the order of the elements.
    """

    shape: tuple[int, ...]
    is_float: bool
    statistics: Statistics
    rms: float
    values: Tensor | None
    projections: Tensor | None = field(repr=False)
    moments: tuple[float, ...]

    @property
    def size(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    @property
    def is_constant_value(self) -> bool:
        """Whether all elements are alike: a match with another such tensor says little."""
        return self.statistics.minimum == self.statistics.maximum and not self.statistics.nonfinite

    def reshaped(self, shape: tuple[int, ...]) -> Sketch:
        """The same elements in the same flat order under another shape."""
        return replace(self, shape=shape)

    def distance(self, other: Sketch) -> float:
        """How far two tensors are apart at the worst place, in units of their root mean square.

        In flat order, whatever the shapes. Of small tensors it is the greatest difference of two elements; of
        large ones the greatest root mean square over a block, estimated. ``inf`` when the numbers of elements
        differ.
        """
        return self._apart(other, lambda errors: errors.max())

    def rms_distance(self, other: Sketch) -> float:
        """The root mean square of the difference in units of that of the tensors; else as `distance`."""
        return self._apart(other, lambda errors: errors.square().mean().sqrt())

    def _apart(self, other: Sketch, reduced: Callable[[Tensor], Tensor]) -> float:
        if self.size != other.size:
            return inf
        scale = max(self.rms, other.rms)
        if self.size == 0 or scale == 0.0:
            return 0.0
        if self.values is not None and other.values is not None:
            found = float(reduced((self.values - other.values).abs())) / scale
        else:
            assert self.projections is not None
            assert other.projections is not None
            block = -(-self.size // _BLOCKS)
            errors = (self.projections - other.projections).square().mean(1).div(block).sqrt()
            found = float(reduced(errors)) / scale
        return found if isfinite(found) else inf

    def same_values(self, other: Sketch, tolerance: float) -> bool:
        """Whether both have the same elements in some order, within `tolerance` of their root mean square.

        Of large tensors only moments are compared: it is likely, not certain.
        """
        if self.size != other.size:
            return False
        bound = tolerance * max(self.rms, other.rms)
        if self.values is not None and other.values is not None and self.size:
            apart = (self.values.sort().values - other.values.sort().values).abs().max()
            return bool(apart <= bound)
        return all(abs(one - two) <= bound for one, two in zip(self.moments, other.moments, strict=True))


def sketch(tensor: Tensor) -> Sketch:
    """The fingerprint of a tensor of any dtype, on the CPU."""
    shape, is_float = tuple(tensor.shape), tensor.is_floating_point() or tensor.is_complex()
    with torch.no_grad():
        wide = torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor
        flat = wide.detach().to(torch.float64).reshape(-1)
        return _of_flat(flat, shape, is_float)


def _of_flat(flat: Tensor, shape: tuple[int, ...], is_float: bool) -> Sketch:
    if flat.numel() > _PIECE and flat.device.type == "cpu":
        low, high, mean, rms, projections = _in_one_pass(flat)
        if max(-low, high) <= _COMPRESSED:  # not of NaN
            std = max(rms**2 - mean**2, 0.0) ** 0.5
            statistics = Statistics(minimum=low, maximum=high, mean=mean, std=std)
            return Sketch(shape, is_float, statistics, rms, None, projections, (mean, rms, low, high))
    if flat.numel() == 0:
        nothing = Statistics(minimum=0.0, maximum=0.0, mean=0.0, std=0.0)
        return Sketch(shape, is_float, nothing, 0.0, flat.cpu(), None, (0.0,) * 4)
    low, high = (float(bound) for bound in flat.aminmax())
    nonfinite = 0
    finite = flat
    if not (isfinite(low) and isfinite(high)):
        known = flat.isfinite()
        nonfinite = flat.numel() - int(known.sum())
        finite = flat[known] if nonfinite < flat.numel() else flat.new_zeros(1)
        low, high = (float(bound) for bound in finite.aminmax())
    mean = float(finite.mean())
    rms_raw = float(torch.linalg.vector_norm(finite)) / finite.numel() ** 0.5
    std = max(rms_raw**2 - mean**2, 0.0) ** 0.5 if isfinite(rms_raw) else float(finite.std(correction=0))
    statistics = Statistics(minimum=low, maximum=high, mean=mean, std=std, nonfinite=nonfinite)
    compressed = max(-low, high) > _COMPRESSED
    held = flat
    if nonfinite or compressed:
        held, rms_raw = _settled(flat, compressed)
    size = held.numel()
    whole = held.cpu().clone() if size <= _WHOLE else None
    return Sketch(
        shape,
        is_float,
        statistics,
        rms_raw,
        whole,
        None if whole is not None else _project(held),
        (mean, rms_raw, low, high) if held is flat else _moments(held, rms_raw),
    )


def _in_one_pass(flat: Tensor) -> tuple[float, float, float, float, Tensor]:
    """Least, greatest, mean, root mean square and projections, piece by piece: memory is read once.

    Where there are elements that are no numbers, neither are the least and the greatest.
    """
    block = -(-flat.numel() // _BLOCKS)
    signs = _signs(block)
    columns = signs.t().contiguous()  # a product with each is faster than one with both
    whole = flat.numel() // block * block
    parts: list[Tensor] = []
    bounds: list[Tensor] = []
    sums: list[Tensor] = []
    squares: list[Tensor] = []
    for start in range(0, flat.numel(), step := max(1, _PIECE // block) * block):
        piece = flat[start : start + step]
        bounds += piece.aminmax()
        sums.append(piece.sum())
        squares.append(piece.dot(piece))
        full = piece[: max(0, whole - start)]
        parts.append(torch.stack([full.view(-1, block).mv(each) for each in columns], 1))
    if whole < flat.numel():
        parts.append((flat[whole:] @ signs[: flat.numel() - whole]).unsqueeze(0))
    low, high = torch.stack(bounds).aminmax()
    mean = float(torch.stack(sums).sum()) / flat.numel()
    rms = (float(torch.stack(squares).sum()) / flat.numel()) ** 0.5
    return float(low), float(high), mean, rms, torch.cat(parts)


def _settled(flat: Tensor, compressed: bool) -> tuple[Tensor, float]:
    """Infinities and masks as numbers, NaN as one that stands out; and the root mean square without NaN."""
    unknown = flat.isnan()
    held = flat.nan_to_num(nan=0.0, posinf=_LIMIT, neginf=-_LIMIT).clamp(-_LIMIT, _LIMIT)
    if compressed or bool(flat.isinf().any()):
        held = held.asinh()
    count = max(1, int((~unknown).sum()))
    rms = float(torch.linalg.vector_norm(held)) / count**0.5
    return torch.where(unknown, 3.0 * rms + 1.0, held), rms if rms > 0.0 else 1.0


def _moments(held: Tensor, rms: float) -> tuple[float, ...]:
    """Figures in the unit of the elements: mean, rms, least, greatest."""
    low, high = held.aminmax()
    return float(held.mean()), rms, float(low), float(high)


def _project(held: Tensor) -> Tensor:
    """Sums of each block with random signs."""
    block = -(-held.numel() // _BLOCKS)
    signs = _signs(block).to(held.device)
    whole = held.numel() // block
    parts = [held[: whole * block].view(whole, block) @ signs]
    rest = held[whole * block :]
    if rest.numel():
        parts.append((rest @ signs[: rest.numel()]).unsqueeze(0))
    return torch.cat(parts).cpu()


@lru_cache(maxsize=64)
def _signs(length: int) -> Tensor:
    generator = torch.Generator().manual_seed(length)
    drawn = torch.randint(0, 2, (length, _PROJECTIONS), generator=generator)
    return drawn.to(torch.float64).mul_(2).sub_(1)
