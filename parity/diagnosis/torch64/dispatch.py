"""The dispatch mode: every floating argument, result and dtype argument of every operator is float64."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode

from parity.diagnosis.convolution64 import convolve, convolve_transposed, suits, suits_transposed
from parity.diagnosis.uninitialized import unfilled

from .arguments import leaves, map_tensors, raised, random_generators
from .dtypes import FLOATING, is_low, loses
from .observation import Observation, Observer
from .places import ModuleStack, source_line
from .state import Loan
from .unknown import Unknown

# Operators whose kernels are written for float64 as well. What any other computes inside can't be known.
_TRUSTED = frozenset(["aten", "prims", "prim", "torchvision"])

_aten = torch.ops.aten
_CONVOLUTION = _aten.convolution.default
_UNWRITTEN = frozenset(
    getattr(_aten, name)
    for name in ("empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "resize_")
)

# Words by which a kernel says that it is not made for float64.
_ABOUT_DTYPES = ("double", "float64", "scalar type", "dtype", "not implemented for", "data type")


class Raising(TorchDispatchMode):  # type: ignore[no-untyped-call]  # PyTorch's __init_subclass__
    """Raises what every operator takes and gives; tells the observer.

    Args:
        native: the module's own floating dtype; a cast that loses some of its values still rounds.
        loan: tensors from outside that an operator writes to are adopted by it.
        stack: knows the module that runs.
        observer: is told every result.
        decompositions: operators that are run as others, so that the observer sees what is inside them; as
            `torch._decomp.get_decompositions` gives them.
    """

    def __init__(
        self,
        native: torch.dtype,
        loan: Loan,
        stack: ModuleStack,
        observer: Observer | None,
        decompositions: Mapping[OpOverload, Callable[..., Any]],
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.native, self.loan, self.stack, self.observer = native, loan, stack, observer
        self.decompositions = decompositions
        self.random_ops: dict[str, None] = {}  # an ordered set
        self.current = ""  # the operator that runs, for errors of the model itself
        self.unknown: Unknown | None = None  # the first; kept, since the model may catch it

    def __torch_dispatch__(
        self, func: OpOverload, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        self.current = str(func)
        try:
            return self._run(func, args, kwargs or {})
        except Unknown as unknown:
            self.unknown = self.unknown or unknown
            raise

    def _run(self, func: OpOverload, args: Any, kwargs: dict[str, Any]) -> Any:
        _refuse(func, args, kwargs)
        if func in self.decompositions:
            with self, torch._C.DisableTorchFunction():
                return self.decompositions[func](*args, **kwargs)
        rounds = [each for each in leaves((args, kwargs), torch.dtype) if loses(each, self.native)]
        self._adopt_written(func, args, kwargs)
        args, kwargs = raised(args), raised(kwargs)
        result = self._call(func, args, kwargs)
        if rounds:
            result = map_tensors(result, lambda tensor: _round(tensor, rounds[0]))
        for tensor in leaves(result, Tensor):
            if is_low(tensor) or tensor.is_quantized:
                raise Unknown(f"{func} gives {_dtype(tensor)} although its arguments are float64")
        if self.observer is not None:
            self._tell(func, args, kwargs, result)
        return result

    def _call(self, func: OpOverload, args: Any, kwargs: dict[str, Any]) -> Any:
        generators = random_generators(args, kwargs) if torch.Tag.nondeterministic_seeded in func.tags else []
        before = [generator.get_state() for generator in generators]
        try:
            # What the module itself leaves unwritten is NaN, as the user has it.
            with nullcontext() if func.overloadpacket in _UNWRITTEN else unfilled():
                result = _convolution(args) if func is _CONVOLUTION else func(*args, **kwargs)
        except (RuntimeError, NotImplementedError, TypeError) as error:
            words = str(error).strip()
            if any(word in words.lower() for word in _ABOUT_DTYPES):
                raise Unknown(f"{func} can't compute in float64: {words.splitlines()[0]}") from error
            raise
        # Some of these operators draw nothing: attention with dropout 0. What counts is what was drawn.
        states = zip(generators, before, strict=True)
        if any(not torch.equal(generator.get_state(), state) for generator, state in states):
            self.random_ops[str(func)] = None
        return result

    def _adopt_written(self, func: OpOverload, args: Any, kwargs: dict[str, Any]) -> None:
        """A float32 tensor that the operator writes to comes from outside: a copy would lose the writing."""
        if not func._schema.is_mutable:
            return
        for index, argument in enumerate(func._schema.arguments):
            if argument.alias_info is not None and argument.alias_info.is_write:
                value = args[index] if index < len(args) else kwargs.get(argument.name)
                self.loan.adopt(tensor for tensor in leaves(value, Tensor) if is_low(tensor))

    def _tell(self, func: OpOverload, args: Any, kwargs: dict[str, Any], result: Any) -> None:
        assert self.observer is not None
        with torch._C.DisableTorchFunction():
            self.observer(
                Observation(
                    str(func),
                    tuple(leaves((args, kwargs), Tensor)),
                    tuple(leaves(result, Tensor)),
                    self.stack.path,
                    source_line(),
                )
            )


def _convolution(args: Any) -> Tensor:
    """``aten.convolution``, whose own float64 kernel is slow on the CPU."""
    x, w, b, stride, padding, dilation, transposed, extra, groups = args
    stride, padding, dilation = (2 * each if len(each) == 1 else each for each in (stride, padding, dilation))
    if not transposed and suits(x, w, groups):
        return convolve(x, w, b, stride, padding, dilation)
    if transposed and not any((*padding, *extra)) and suits_transposed(x, w, stride, dilation, groups):
        result = convolve_transposed(x, w)
        return result if b is None else result.add_(b.view(-1, 1, 1))
    computed: Tensor = _CONVOLUTION(*args)
    return computed


def _refuse(func: OpOverload, args: Any, kwargs: dict[str, Any]) -> None:
    if func.namespace not in _TRUSTED:
        raise Unknown(f"{func} is a custom operator: what it computes inside can't be raised to float64")
    for tensor in leaves((args, kwargs), Tensor):
        if tensor.is_quantized:
            raise Unknown(f"{func} takes a quantized tensor ({tensor.dtype}), which has no float64")
    if func is torch.ops.aten.view.dtype and (args[0].dtype in FLOATING or args[1] in FLOATING):
        raise Unknown(f"{func} reads the bits of a tensor as {args[1]}: in float64 they are others")


def _round(tensor: Tensor, through: torch.dtype) -> Tensor:
    return tensor.to(through).to(tensor.dtype) if tensor.dtype in FLOATING else tensor


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
