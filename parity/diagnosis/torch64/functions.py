"""The function mode: the model's own Python code finds the dtypes that it is written for.

A tensor that is held in float64 still says that it is float32, so that ``torch.finfo(x.dtype).min``, a test
of the dtype or a default epsilon is the same as in the exported graph. Casts between floating dtypes return
the tensor itself exactly where they would.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import reduce
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

from .arguments import leaves
from .dtypes import FLOATING, RAISED, complex_of, is_low, loses, promoted
from .state import Loan

_DTYPE = Tensor.dtype.__get__  # type: ignore[attr-defined]
_NAMED_CASTS: dict[Callable[..., Any], torch.dtype] = {
    Tensor.half: torch.float16,
    Tensor.bfloat16: torch.bfloat16,
    Tensor.float: torch.float32,
    Tensor.double: torch.float64,
}
_CASTS = frozenset([*_NAMED_CASTS, Tensor.to, Tensor.type, Tensor.type_as])
_WRITES = frozenset([Tensor.copy_, Tensor.__setitem__])
_RMS_NORMS = frozenset([torch.rms_norm, torch.nn.functional.rms_norm])


class Appearing(TorchFunctionMode):
    """Adopts tensors from outside, answers for the dtypes, and keeps autocast off.

    Args:
        native: the dtype that a float64 tensor claims to have, unless the model cast it to another.
        loan: adopts the lower tensors that the forward brings in: globals, closures, NumPy arrays.
    """

    def __init__(self, native: torch.dtype, loan: Loan) -> None:
        super().__init__()
        self.native, self.loan = native, loan
        self.autocast = False  # whether the forward turned it on anywhere
        self._others = WeakTensorKeyDictionary()  # dtypes that tensors claim where it is not the native one
        for tensor, dtype in loan.own_dtypes():
            self._claim(tensor, dtype)

    def claimed(self, tensor: Tensor) -> torch.dtype:
        """The dtype that the tensor would have in the module's own evaluation."""
        if tensor in self._others:
            other: torch.dtype = self._others[tensor]
            return other
        if tensor.dtype is torch.float64:
            return self.native
        return complex_of(self.native) if tensor.dtype is torch.complex128 else tensor.dtype

    def _claim(self, tensor: Tensor, dtype: torch.dtype) -> None:
        if tensor.dtype in FLOATING and dtype in FLOATING and self.claimed(tensor) is not dtype:
            self._others[tensor] = dtype

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func == _DTYPE and not is_low(args[0]):
            return self.claimed(args[0])
        self._adopt(args, kwargs)
        if func == _DTYPE:
            return self.claimed(args[0])
        if not torch._C._is_any_autocast_enabled():
            return self._call(func, args, kwargs)
        self.autocast = True
        with torch._C._DisableAutocast():
            return self._call(func, args, kwargs)

    def _adopt(self, args: Any, kwargs: dict[str, Any]) -> None:
        strangers = [tensor for tensor in leaves((args, kwargs), Tensor) if is_low(tensor)]
        if strangers:
            self.loan.adopt(strangers)
            for tensor in strangers:
                self._claim(tensor, self.loan.own_dtype(tensor))

    def _call(self, func: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Any:
        if func in _CASTS and args[0].dtype in FLOATING:
            return self._cast(func, args, kwargs)
        if func in _RMS_NORMS:
            args, kwargs = self._with_epsilon(args, kwargs)
        result = func(*args, **kwargs)
        if self._others or kwargs.get("dtype") is not None:
            self._pass_on(args, kwargs, result)
        if func in _WRITES and loses(self.claimed(args[0]), self.native):
            args[0].copy_(args[0].to(self.claimed(args[0])))
        return result

    def _cast(self, func: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Any:
        tensor, before = args[0], self.claimed(args[0])
        after = self._target(func, args, kwargs)
        if after is None or after not in FLOATING:
            result = func(*args, **kwargs)
        elif after is before or not loses(after, self.native):
            result = _without_dtype(func, tensor, args[1:], kwargs)
            if after is not before and result is tensor:
                result = tensor.clone()  # of its own, as after a real cast
        else:
            result = func(*args, **kwargs)
        if isinstance(result, Tensor) and result is not tensor:
            self._claim(result, after or before)
        return result

    def _target(self, func: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> torch.dtype | None:
        """The dtype that the cast asks for, None when it asks for none."""
        if func in _NAMED_CASTS:
            return _NAMED_CASTS[func]
        for value in (*args[1:], *kwargs.values()):
            if isinstance(value, torch.dtype):
                return value
            if isinstance(value, Tensor):
                return self.claimed(value)
            if func is Tensor.type and value:
                return _legacy_dtype(value)
        return None

    def _with_epsilon(self, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """The default epsilon of an RMS norm is that of the dtype it computes in, at least float32."""
        given = args[3] if len(args) > 3 else kwargs.get("eps")
        if given is not None:
            return args, kwargs
        dtype = promoted(self.claimed(args[0] if args else kwargs["input"]), torch.float32)
        return args[:3], {**kwargs, "eps": torch.finfo(dtype).eps}

    def _pass_on(self, args: Any, kwargs: dict[str, Any], result: Any) -> None:
        """A new tensor claims what its operands do, as far as that is not the native dtype."""
        asked = kwargs.get("dtype")
        tensors = [tensor for tensor in leaves((args, kwargs), Tensor) if tensor.dtype in FLOATING]
        tensors = [tensor for tensor in tensors if tensor.dim()] or tensors  # numbers don't decide
        if asked is None and not any(tensor in self._others for tensor in tensors):
            return
        dtype = asked or reduce(promoted, (self.claimed(tensor) for tensor in tensors))
        for tensor in leaves(result, Tensor):
            if any(tensor is operand for operand in tensors):
                continue  # written in place: it keeps its dtype
            real = dtype.to_real() if not tensor.dtype.is_complex else dtype.to_complex()
            self._claim(tensor, real)


@contextmanager
def fused_layers() -> Iterator[None]:
    """`nn.TransformerEncoder` and `nn.MultiheadAttention` take their fused path as if no mode were active.

    It is not only faster: it gives zeros at padded positions, where the layers' own code gives numbers. They
    look the function up that is exchanged here; PyTorch's other code has a reference of its own.
    """
    own = torch.overrides.has_torch_function

    def without_modes(args: Iterable[Any]) -> bool:
        with torch._C.DisableTorchFunction():
            return own(args)

    torch.overrides.has_torch_function = without_modes
    try:
        yield
    finally:
        torch.overrides.has_torch_function = own


def _without_dtype(func: Callable[..., Any], tensor: Tensor, args: Any, kwargs: dict[str, Any]) -> Any:
    """What else a cast does: move to a device, copy, change the memory format."""
    if func is not Tensor.to:
        return tensor
    args = [RAISED.get(value, value) if isinstance(value, torch.dtype) else value for value in args]
    kwargs = {k: RAISED.get(v, v) if isinstance(v, torch.dtype) else v for k, v in kwargs.items()}
    return tensor.to(*args, **kwargs)


def _legacy_dtype(value: Any) -> torch.dtype:
    """``torch.FloatTensor``, as a class or by its name -> torch.float32."""
    name = value if isinstance(value, str) else f"{value.__module__}.{value.__name__}"
    dtype: torch.dtype = getattr(torch, name.rpartition(".")[2]).dtype
    return dtype
