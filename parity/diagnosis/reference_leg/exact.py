"""One operator in float64, on the very operands that its kernel had, or on these rounded.

Called while no mode is active: this is the referee's arithmetic, not the model's.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload

from parity.diagnosis.convolution64 import convolve, suits
from parity.diagnosis.precision import Rounding
from parity.diagnosis.torch64.arguments import leaves, map_tensors, raised

from .operators import base_name, is_attention, product_of

_LSTM = 2  # the mode of `mkldnn_rnn_layer`; it has no other


class Exact:
    """An operator with its arguments raised to float64; the originals may change afterwards.

    Args:
        func: the operator.
        args: as the kernel gets them, or from before autocast rounded them.
        kwargs: likewise.
    """

    def __init__(self, func: OpOverload, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
        self.func, self.product = func, product_of(func)
        self.args: list[Any] = list(raised(list(args)))
        self.kwargs: dict[str, Any] = raised(kwargs)
        if base_name(func) in {"_softmax", "_log_softmax"}:
            self.args[2] = False  # half_to_float, which float64 does not know

    def results(self, rounding: Rounding | None = None) -> tuple[Tensor, ...]:
        """The tensors that the operator gives, in float64; with a rounding, on operands that went through it.

        Raises whatever the operator raises where it has no float64 form.
        """
        args = self._rounded(rounding)
        if is_attention(self.func):
            return (_attention(self.func, args, self.kwargs, rounding)[0],)
        if base_name(self.func) == "mkldnn_rnn_layer":
            return _lstm(args)
        if self.func is torch.ops.aten.convolution.default:
            return (_convolution(args),)
        args, kwargs = self._own(args)
        return tuple(leaves(self.func(*args, **kwargs), Tensor))

    def magnitude(self) -> Tensor | None:
        """The unit of error of a sum of products: the same over absolute values. None for other operators.

        It needs no exactness, so it is computed in float32; float64.
        """
        if is_attention(self.func):
            return _attention(self.func, self.args, self.kwargs, None)[1]
        if self.product is None:
            return None
        args = list(self.args)
        for index in (*self.product.operands, self.product.addend):
            if index is not None and isinstance(args[index], Tensor):
                args[index] = args[index].abs().to(torch.float32)
        kwargs = {k: abs(v) if k in {"alpha", "beta"} else v for k, v in self.kwargs.items() if k != "out"}
        overload = self.func if "out" not in self.kwargs else self.func._overloadpacket.default
        return leaves_of(overload(*args, **kwargs))[0].to(torch.float64)

    def in_dtype(self, dtype: torch.dtype) -> tuple[Tensor, ...]:
        """What the kernel of that dtype gives on the same operands."""
        other = copy.copy(self)
        other.args = [_lowered(value, dtype) for value in self.args]
        other.kwargs = {name: _lowered(value, dtype) for name, value in self.kwargs.items()}
        return other.results()

    def perturbed(self, draw: torch.Generator, epsilon: float) -> tuple[Tensor, ...]:
        """The results on operands that are off by up to a relative `epsilon`: what no kernel can avoid."""

        def shifted(tensor: Tensor) -> Tensor:
            noise = 2 * torch.rand(tensor.shape, generator=draw, dtype=torch.float64) - 1
            return tensor * (1 + epsilon * noise.to(tensor.device))

        return self.results(shifted)

    def _rounded(self, rounding: Rounding | None) -> list[Any]:
        if rounding is None:
            return self.args
        if self.product is None:
            return [map_tensors(value, lambda tensor: _through(tensor, rounding)) for value in self.args]
        args = list(self.args)
        for index in self.product.operands:
            args[index] = _through(args[index], rounding)
        return args

    def _own(self, args: list[Any]) -> tuple[list[Any], dict[str, Any]]:
        """Copies of what the operator writes to, so that it can be computed again."""
        if not self.func._schema.is_mutable:
            return args, self.kwargs
        args, kwargs = list(args), dict(self.kwargs)
        for index, argument in enumerate(self.func._schema.arguments):
            if argument.alias_info is None or not argument.alias_info.is_write:
                continue
            if index < len(args):
                args[index] = map_tensors(args[index], Tensor.clone)
            elif argument.name in kwargs:
                kwargs[argument.name] = map_tensors(kwargs[argument.name], Tensor.clone)
        return args, kwargs


def leaves_of(value: Any) -> list[Tensor]:
    """All tensors of a result."""
    return list(leaves(value, Tensor))


def _lowered(value: Any, dtype: torch.dtype) -> Any:
    if value is torch.float64:
        return dtype
    return map_tensors(value, lambda each: each.to(dtype) if each.dtype is torch.float64 else each)


def _through(tensor: Tensor, rounding: Rounding) -> Tensor:
    return rounding(tensor) if tensor.dtype is torch.float64 else tensor


def _convolution(args: list[Any]) -> Tensor:
    """PyTorch's own float64 kernel is slow on the CPU."""
    x, w, b, stride, padding, dilation, transposed, _, groups = args
    if transposed or not suits(x, w, groups):
        result: Tensor = torch.ops.aten.convolution.default(*args)
        return result
    stride, padding, dilation = (2 * list(v) if len(v) == 1 else v for v in (stride, padding, dilation))
    return convolve(x, w, b, stride, padding, dilation)


def _lstm(args: list[Any]) -> tuple[Tensor, ...]:
    """One direction of one layer; the kernel of oneDNN knows no float64."""
    x, *weights, hx, cx, reverse, _sizes, mode, _hidden, layers, has_biases, _both, _batch_first, _train = (
        args
    )
    if mode != _LSTM or layers != 1:
        raise NotImplementedError("a layer of oneDNN that is no LSTM")
    x = x.flip(0) if reverse else x  # time comes first here, whatever the layer's own order
    weights = weights if has_biases else weights[:2]
    state = [each.reshape(1, *each.shape[-2:]) for each in (hx, cx)]
    y, h, c = torch.lstm(x, state, weights, has_biases, layers, 0.0, False, False, False)
    return (y.flip(0) if reverse else y), h.reshape(hx.shape), c.reshape(cx.shape)


def _attention(
    func: OpOverload, args: Sequence[Any], kwargs: dict[str, Any], rounding: Rounding | None
) -> tuple[Tensor, Tensor]:
    """``softmax(q k^T scale + bias) v``, and the unit of its error; what the fused kernels compute.

    An error of a score, relative to ``|q| |k|^T scale``, moves each probability by at most twice the greatest
    of its row; the sums over v add their own.
    """
    given = {argument.name: value for argument, value in zip(func._schema.arguments, args, strict=False)}
    given |= kwargs
    if given.get("dropout_p"):
        raise NotImplementedError("attention with dropout")
    query, key, value = given["query"], given["key"], given["value"]
    repeats = query.shape[-3] // key.shape[-3] if query.ndim == key.ndim >= 3 else 1
    if repeats > 1:  # grouped queries
        key, value = (each.repeat_interleave(repeats, -3) for each in (key, value))
    scale = given.get("scale") or query.shape[-1] ** -0.5
    scores = query @ key.transpose(-2, -1) * scale
    bias = given.get("attn_mask", given.get("attn_bias"))
    if given.get("is_causal"):
        allowed = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
        scores = scores.masked_fill(~allowed, float("-inf"))
    if bias is not None:
        scores = scores.masked_fill(~bias, float("-inf")) if bias.dtype is torch.bool else scores + bias
    weights = scores.softmax(-1)
    if rounding is not None:
        return rounding(weights) @ value, weights
    sizes = (query.abs() @ key.abs().transpose(-2, -1) * abs(scale)).masked_fill(weights == 0, 0.0)
    unit = weights @ value.abs() * (1 + 2 * sizes.amax(-1, keepdim=True))
    return weights @ value, unit
