"""The module as the user runs it, and each operator in float64 beside it: what every kernel adds by itself.

The float64 form of an operator has the very operands that the kernel had, so an error that came in with them
does not count. Only the tensors of one operator are held at a time; what is kept are numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakTensorKeyDictionary

from parity.diagnosis.statistics import statistics
from parity.diagnosis.torch64.arguments import leaves, map_tensors
from parity.diagnosis.torch64.dtypes import as_usual, is_low, loses
from parity.diagnosis.torch64.places import ModuleStack, source_line
from parity.records.diagnosis import Statistics

from . import operators
from .comparison import Judged, judge, mended
from .exact import Exact

_CASTS = frozenset([Tensor.to, Tensor.type, Tensor.type_as, Tensor.half, Tensor.bfloat16, Tensor.float])
_KEPT = frozenset(["clone", "_unsafe_view", "_reshape_alias", "contiguous"])  # beside views
START = str(Path(__file__).with_name("observing.py"))
_NO_FLOAT64 = (RuntimeError, NotImplementedError, TypeError, ValueError, IndexError)


@dataclass(frozen=True, slots=True)
class Place:
    """An operator that ran, and where the model called it."""

    op: str  # aten.convolution.default
    module: str  # backbone.blocks.1.4
    source: str  # model.py:31


@dataclass(frozen=True)
class LocalError:
    """What one operator added by itself.

    Args:
        place: the operator.
        family: convolution, matmul and the like; empty for others.
        shape: of the result.
        dtype: whose precision it should have kept.
        computed_in: the result's dtype.
        device: where it ran.
        autocast: the share of the error that goes without autocast; None where it changed nothing.
        judged: its error.
        expected: statistics of the exact result, of an operator that is off.
        found: statistics of the kernel's.
    """

    place: Place
    family: operators.Family
    shape: tuple[int, ...]
    dtype: torch.dtype
    computed_in: torch.dtype
    device: torch.device
    autocast: float | None
    judged: Judged
    expected: Statistics | None = None
    found: Statistics | None = None


@dataclass
class ShadowPass:
    """All that a pass saw.

    Args:
        errors: of every operator with an inexact floating result, in order.
        skipped: operators that could not be judged, and why.
        first_nan: the first operator that made a NaN of numbers.
        first_infinity: the first one that made an infinity of finite numbers.
        result: what the run returned.
    """

    errors: list[LocalError] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    first_nan: Place | None = None
    first_infinity: Place | None = None
    result: object = None


class Functions(TorchFunctionMode):
    """Knows what the model's own code calls: within an operator, PyTorch hides the state of autocast."""

    def __init__(self) -> None:
        super().__init__()
        self.autocasts = False  # whether a cast that happens now is autocast's

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        before = self.autocasts
        self.autocasts = func not in _CASTS and bool(torch._C._is_any_autocast_enabled())
        try:
            return func(*args, **(kwargs or {}))
        finally:
            self.autocasts = before


class Shadow(TorchDispatchMode):  # type: ignore[no-untyped-call]  # PyTorch's __init_subclass__
    """Runs every operator as it is, and in float64 before that, since it may write to its operands."""

    def __init__(
        self, seen: ShadowPass, stack: ModuleStack, functions: Functions, native: torch.dtype
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._seen, self._stack, self._functions, self._native = seen, stack, functions, native
        self._uncast = WeakTensorKeyDictionary()  # what autocast rounded -> what it was before

    def __torch_dispatch__(
        self, func: OpOverload, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if operators.is_composite(func):  # under `torch.inference_mode`
            with self:
                result = func.decompose(*args, **kwargs)
            if result is not NotImplemented:
                return result
        if operators.moves_only(func):
            result = func(*args, **kwargs)
            self._follow(func, args, kwargs, result)
            return result
        operands = list(leaves((args, kwargs), Tensor))
        if not any(is_low(tensor) for tensor in operands):
            return func(*args, **kwargs)
        with as_usual(), torch.no_grad():
            before = _nonfinite(operands) if func._schema.is_mutable else None
            exact, expected = self._exact(func, args, kwargs)
        result = func(*args, **kwargs)
        place = Place(str(func), self._stack.path, source_line(START))
        with as_usual(), torch.no_grad():
            self._watch(place, operands, before, result)
            if exact is not None:
                self._judge(exact, expected, place, operands, result)
        return result

    def _exact(
        self, func: OpOverload, args: Any, kwargs: dict[str, Any]
    ) -> tuple[Exact | None, tuple[Tensor, ...]]:
        """The operator in float64 and its results; None, with the reason noted, where it has no such form."""
        why = operators.unjudgeable(func)
        if why:
            self._seen.skipped.setdefault(str(func), why)
            return None, ()
        try:
            exact = Exact(func, map_tensors(args, self._origin), kwargs)
            return exact, exact.results()
        except _NO_FLOAT64 as error:
            self._no_float64(str(func), error)
            return None, ()

    def _judge(
        self, exact: Exact, expected: tuple[Tensor, ...], place: Place, operands: list[Tensor], result: Any
    ) -> None:
        origins = [self._uncast[tensor] for tensor in operands if tensor in self._uncast]
        worst: LocalError | None = None
        for output, (found, wanted) in enumerate(zip(leaves(result, Tensor), expected, strict=False)):
            if not is_low(found) or not found.numel() or found.numel() != wanted.numel():
                continue
            autocast = bool(origins) or (self._functions.autocasts and loses(found.dtype, self._native))
            dtype = self._native if autocast and is_low(found) else found.dtype
            try:
                judged = judge(found, exact, dtype, output, wanted)
                lost = mended(found, exact, dtype, output, wanted) if autocast and judged.off else 0.0
            except _NO_FLOAT64 as error:
                self._no_float64(place.op, error)
                continue
            if worst is not None and not judged.off:
                continue
            worst = LocalError(
                place=place,
                family=operators.family_of(exact.func),
                shape=tuple(found.shape),
                dtype=dtype,
                computed_in=found.dtype,
                device=found.device,
                autocast=lost if autocast else None,
                judged=judged,
                expected=statistics(wanted) if judged.off else None,
                found=statistics(found) if judged.off else None,
            )
        if worst is not None:
            self._seen.errors.append(worst)

    def _watch(
        self, place: Place, operands: list[Tensor], before: tuple[bool, bool] | None, result: Any
    ) -> None:
        """Notes where the first NaN and the first infinity were made."""
        if self._seen.first_nan is not None:
            return
        nan, infinite = _nonfinite(leaves(result, Tensor))
        if not nan and (not infinite or self._seen.first_infinity is not None):
            return
        had_nan, had_infinite = before or _nonfinite(operands)
        if nan and not had_nan:
            self._seen.first_nan = place
        if infinite and not had_infinite and not had_nan and self._seen.first_infinity is None:
            self._seen.first_infinity = place

    def _follow(self, func: OpOverload, args: Any, kwargs: dict[str, Any], result: Any) -> None:
        """Remembers what autocast rounded, also through views of it."""
        if not args or not isinstance(args[0], Tensor):
            return
        operand = args[0]
        if func is torch.ops.aten._to_copy.default:
            narrower = is_low(operand) and loses(result.dtype, operand.dtype)
            if self._functions.autocasts and narrower:
                self._uncast[result] = self._origin(operand)
        elif operand in self._uncast and (func.is_view or operators.base_name(func) in _KEPT):
            with as_usual():
                origin = func(self._uncast[operand], *args[1:], **kwargs)
            for tensor, own in zip(leaves(result, Tensor), leaves(origin, Tensor), strict=True):
                self._uncast[tensor] = own

    def _origin(self, tensor: Tensor) -> Tensor:
        if tensor not in self._uncast:
            return tensor
        origin: Tensor = self._uncast[tensor]
        return origin

    def _no_float64(self, op: str, error: Exception) -> None:
        words = str(error).strip().splitlines()
        self._seen.skipped.setdefault(op, words[0] if words else type(error).__name__)


def _nonfinite(tensors: Iterable[Tensor]) -> tuple[bool, bool]:
    """Whether there is a NaN, and whether there is an infinity."""
    floating = [tensor for tensor in tensors if tensor.is_floating_point() or tensor.is_complex()]
    bad = [tensor for tensor in floating if not bool(tensor.isfinite().all())]
    return any(bool(each.isnan().any()) for each in bad), any(bool(each.isinf().any()) for each in bad)
