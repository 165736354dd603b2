"""Which PyTorch tensors each ONNX tensor is equal to: by value, whatever it is called."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from parity.diagnosis.tracing import Sketch, Trace, TracedTensor

TOLERANCE = 1e-2  # relative; far above rounding: what a small fault has moved still finds its counterpart

# Of tensors that are about equally near, as a tensor and its views are, all count. Others do not.
_AS_NEAR = 2.0
_EQUAL = 1e-9


@dataclass(frozen=True, slots=True)
class Match:
    """A PyTorch tensor that may be the same as an ONNX tensor.

    Args:
        tensor: its index in the PyTorch trace.
        distance: greatest difference of two elements, relative to the root mean square.
        exact: element by element in flat order; else only the multiset of values is the same, or the values
            are too uniform to tell.
        same_shape: apart from axes of length 1.
    """

    tensor: int
    distance: float
    exact: bool
    same_shape: bool


@dataclass(frozen=True)
class Matches:
    """The matches of every ONNX tensor, by its index; the best first.

    What no input can change, and shape arithmetic, is not matched: `fixed` has these ONNX tensors.
    """

    by_tensor: tuple[tuple[Match, ...], ...]
    fixed: frozenset[int] = field(default_factory=frozenset)

    def best(self, tensor: int) -> Match | None:
        """The nearest match of an ONNX tensor."""
        found = self.by_tensor[tensor]
        return found[0] if found else None

    def exact(self, tensor: int) -> bool:
        """Whether an ONNX tensor is some PyTorch tensor, element by element."""
        found = self.by_tensor[tensor]
        return bool(found) and found[0].exact

    def distance(self, tensor: int) -> float | None:
        """From the nearest exact match; None if there is none."""
        return self.by_tensor[tensor][0].distance if self.exact(tensor) else None

    @cached_property
    def by_counterpart(self) -> Mapping[int, tuple[int, ...]]:
        """PyTorch tensor -> the ONNX tensors that match it element by element."""
        found: dict[int, list[int]] = defaultdict(list)
        for index, matches in enumerate(self.by_tensor):
            for match in matches:
                if match.exact:
                    found[match.tensor].append(index)
        return {tensor: tuple(indices) for tensor, indices in found.items()}


def match(graph: Trace, module: Trace, tolerance: float = TOLERANCE) -> Matches:
    """Finds, for every ONNX tensor, the PyTorch tensors that are equal to it.

    Those that are equal element by element in flat order outrank those that only have the same multiset of
    values. Only tensors of one size and about one root mean square are compared.

    Args:
        graph: the ONNX graph's trace.
        module: the PyTorch module's, on the same inputs.
        tolerance: relative; the nearest tensors within it are taken. How near is near enough is not decided
            here.
    """
    fixed = fixed_tensors(graph)
    shelves = _Shelves(module)
    found = tuple(
        () if tensor.index in fixed or tensor.sketch is None else shelves.find(tensor.sketch, tolerance)
        for tensor in graph.tensors
    )
    return Matches(found, fixed)


def fixed_tensors(graph: Trace) -> frozenset[int]:
    """Constants, and what is computed of constants and of shapes alone."""
    fixed = {tensor.index for tensor in graph.tensors if tensor.constant}
    for op in graph.ops:
        read = [index for index in op.inputs if index is not None]
        if op.op_type in ("Shape", "Size") or all(index in fixed for index in read):
            fixed.update(index for index in op.outputs if index is not None)
    return frozenset(fixed)


class _Shelves:
    """PyTorch tensors by their number of elements, sorted by their root mean square."""

    def __init__(self, module: Trace) -> None:
        held: dict[int, list[tuple[float, int, Sketch]]] = defaultdict(list)
        for tensor in module.tensors:
            if tensor.sketch is not None and not _is_parameter(tensor):
                held[tensor.sketch.size].append((tensor.sketch.rms, tensor.index, tensor.sketch))
        self._held = {size: sorted(entries, key=lambda entry: entry[:2]) for size, entries in held.items()}

    def find(self, wanted: Sketch, tolerance: float) -> tuple[Match, ...]:
        near = self._near(wanted, tolerance)
        exact = _nearest([(wanted.distance(each), index, each) for index, each in near], tolerance)
        if exact:
            return _ranked(wanted, exact, exact=not wanted.is_constant_value)
        bound = min(tolerance, _ALIKE)
        alike = [(0.0, index, each) for index, each in near if wanted.same_values(each, bound)]
        return _ranked(wanted, alike, exact=False)

    def _near(self, wanted: Sketch, tolerance: float) -> list[tuple[int, Sketch]]:
        """Those that figures of the whole tensor do not rule out."""
        shelf = self._held.get(wanted.size, [])
        slack = tolerance * wanted.rms
        low = bisect_left(shelf, wanted.rms - slack, key=lambda entry: entry[0])
        high = bisect_right(shelf, wanted.rms + slack, key=lambda entry: entry[0])
        return [
            (index, each)
            for _, index, each in shelf[low:high]
            if all(
                abs(one - two) <= 1.01 * slack for one, two in zip(wanted.moments, each.moments, strict=True)
            )
        ]


_ALIKE = 1e-4  # for multisets: they are blind to most of what moves elements


def _is_parameter(tensor: TracedTensor) -> bool:
    return tensor.op is None and tensor.constant


def _nearest(found: Sequence[tuple[float, int, Sketch]], tolerance: float) -> list[tuple[float, int, Sketch]]:
    least = min((distance for distance, _, _ in found), default=tolerance)
    bound = min(tolerance, max(_AS_NEAR * least, least + _EQUAL))
    return [entry for entry in found if entry[0] <= bound]


def _ranked(wanted: Sketch, found: Sequence[tuple[float, int, Sketch]], *, exact: bool) -> tuple[Match, ...]:
    shape = essential(wanted.shape)
    matches = (
        Match(index, distance, exact, essential(each.shape) == shape) for distance, index, each in found
    )
    return tuple(sorted(matches, key=lambda each: (not each.same_shape, each.distance, each.tensor)))


def essential(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape without its axes of length 1."""
    return tuple(size for size in shape if size != 1)
