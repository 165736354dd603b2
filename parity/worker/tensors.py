"""Tensors between PyTorch and NumPy, every dtype that both can hold, bit for bit."""

from __future__ import annotations

import numpy as np
import torch

from parity.artifacts import Array, dtype_name, numpy_dtype
from parity.worker.problems import Unable

# NumPy knows these through ml_dtypes only, and PyTorch hands them over only as raw bits.
_AS_BITS = {
    "bfloat16": torch.uint16,
    "float8_e4m3fn": torch.uint8,
    "float8_e4m3fnuz": torch.uint8,
    "float8_e5m2": torch.uint8,
    "float8_e5m2fnuz": torch.uint8,
    "float8_e8m0fnu": torch.uint8,
}


def torch_dtype_name(dtype: torch.dtype) -> str:
    """The ONNX name of a PyTorch dtype; they are spelled alike."""
    return str(dtype).removeprefix("torch.")


def to_numpy(tensor: torch.Tensor, name: str = "output") -> Array:
    """The values of a tensor on any device, in C order; may share memory with a tensor on the CPU.

    Sparse tensors are made dense and quantized ones dequantized.

    Args:
        tensor: any shape, also one that requires grad or a subclass of `torch.Tensor`.
        name: names the tensor in an error.

    Raises:
        Unable: the tensor has no data, no single shape, or a dtype that NumPy can't hold.
    """
    if tensor.is_nested:
        raise Unable(
            "model", f"{name!r} is a nested tensor: it has no single shape", fix="pad it to one tensor"
        )
    if tensor.is_meta:
        raise Unable(
            "model", f"{name!r} is on the meta device: it holds no data", fix="build it on a real device"
        )
    plain = _strided(tensor.detach()).as_subclass(torch.Tensor).cpu().contiguous()
    dtype = torch_dtype_name(plain.dtype)
    if dtype in _AS_BITS:
        bits: Array = plain.view(_AS_BITS[dtype]).numpy()
        return bits.view(numpy_dtype(dtype))
    try:
        array: Array = plain.numpy()
    except TypeError as error:
        raise Unable(
            "model", f"{name!r} has the dtype {dtype}, which can't be compared", fix="cast it in the model"
        ) from error
    return array


def to_torch(array: Array, device: torch.device, name: str = "input") -> torch.Tensor:
    """A new tensor on `device` with a copy of the array's values.

    Raises:
        Unable: PyTorch has no such dtype (strings, int4), or the device has no room.
    """
    dtype = dtype_name(array.dtype)
    # Arrays read from files are read-only maps: PyTorch would write through them.
    own = np.array(array, order="C", copy=True)
    if dtype in _AS_BITS:
        bits = torch.from_numpy(own.view(f"u{own.dtype.itemsize}"))
        return bits.view(getattr(torch, dtype)).to(device)
    try:
        return torch.from_numpy(own).to(device)
    except torch.OutOfMemoryError as error:
        raise Unable("device", f"{device} has no room for {name!r}", fix="use smaller inputs") from error
    except TypeError as error:
        raise Unable(
            "input",
            f"{name!r} is of dtype {dtype}, and PyTorch has no such tensors",
            fix="give the model an input that both sides can take",
        ) from error


def _strided(tensor: torch.Tensor) -> torch.Tensor:
    if tensor.is_quantized:
        return tensor.dequantize()
    if tensor.layout is not torch.strided:
        return tensor.to_dense()
    return tensor.resolve_conj().resolve_neg()
