"""ATen operators by what rounding can do in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch._ops import OpOverload

Family = Literal["convolution", "matmul", "attention", "recurrent layer", ""]

# What any other namespace computes can't be told in float64.
_TRUSTED = frozenset(["aten", "prims", "torchvision"])

# Results are values of the operands, constants, or undefined memory: no arithmetic that could round. Casts
# are the model's own choice: what a deliberate one loses, it loses in float64 too.
_MOVING = """
_local_scalar_dense _reshape_alias _to_copy _unsafe_view _upsample_nearest_exact1d
_upsample_nearest_exact2d _upsample_nearest_exact3d abs alias_copy amax amin argsort cat clamp clamp_max
clamp_min clone constant_pad_nd contiguous copy copysign detach diag_embed embedding empty empty_like
empty_permuted empty_strided fill flip full full_like gather hardtanh index index_copy index_fill
index_put index_select kthvalue lift lift_fresh lift_fresh_copy masked_fill masked_scatter masked_select
max max_pool2d_with_indices max_pool3d_with_indices maximum min minimum msort nan_to_num
native_channel_shuffle neg new_empty new_empty_strided new_full new_ones new_zeros ones ones_like
pixel_shuffle pixel_unshuffle reflection_pad1d reflection_pad2d reflection_pad3d relu repeat
repeat_interleave replication_pad1d replication_pad2d replication_pad3d resize resize_as roll rot90
scalar_tensor scatter select_backward select_scatter set sgn sign slice_scatter sort split_with_sizes_copy
stack take threshold topk tril triu unique_dim unsafe_chunk unsafe_split unsafe_split_with_sizes
upsample_nearest1d upsample_nearest2d upsample_nearest3d view_copy where zero zeros zeros_like
"""

# The result is one of several that are equally right: signs, order of equal values, bases.
_SEVERAL_RIGHT = """
_linalg_det _linalg_eigh _linalg_slogdet _linalg_svd geqrf linalg_eig linalg_eigh linalg_lstsq linalg_lu
linalg_lu_factor_ex linalg_qr linalg_svd
"""

_MOVES = frozenset(_MOVING.split())
_AMBIGUOUS = frozenset(_SEVERAL_RIGHT.split())


@dataclass(frozen=True)
class Product:
    """A sum of products.

    Args:
        family: what users call it.
        operands: positions of the two arguments that are multiplied.
        addend: position of what is added.
    """

    family: Family
    operands: tuple[int, int]
    addend: int | None = None


_PRODUCTS = {
    "convolution": Product("convolution", (0, 1), 2),
    "_convolution": Product("convolution", (0, 1), 2),
    "mm": Product("matmul", (0, 1)),
    "bmm": Product("matmul", (0, 1)),
    "mv": Product("matmul", (0, 1)),
    "dot": Product("matmul", (0, 1)),
    "addmm": Product("matmul", (1, 2), 0),
    "addmv": Product("matmul", (1, 2), 0),
    "baddbmm": Product("matmul", (1, 2), 0),
    "addbmm": Product("matmul", (1, 2), 0),
}
_ATTENTION = "_scaled_dot_product_"
_RECURRENT = frozenset(["_cudnn_rnn", "mkldnn_rnn_layer", "miopen_rnn"])


def base_name(func: OpOverload) -> str:
    """``add`` of ``aten.add_.Tensor``."""
    return str(func._schema.name).rpartition("::")[2].rstrip("_")


def moves_only(func: OpOverload) -> bool:
    """Whether the operator only moves, selects or makes values, without arithmetic."""
    return func.is_view or base_name(func) in _MOVES


def unjudgeable(func: OpOverload) -> str:
    """Why the operator can't be held against a float64 form; empty if it can."""
    if func.namespace not in _TRUSTED:
        return "a custom operator: what it computes inside can't be told in float64"
    if base_name(func) in _AMBIGUOUS:
        return "it has several right results"
    if torch.Tag.nondeterministic_seeded in func.tags and not is_attention(func):
        return "it draws random numbers"
    return ""


def is_composite(func: OpOverload) -> bool:
    """Whether the operator is made of others, which a mode sees alone under `torch.inference_mode`."""
    return bool(func.has_kernel_for_dispatch_key(torch._C.DispatchKey.CompositeImplicitAutograd))


def product_of(func: OpOverload) -> Product | None:
    """How the operator sums products, None if it does something else."""
    return _PRODUCTS.get(base_name(func)) if func.namespace == "aten" else None


def is_attention(func: OpOverload) -> bool:
    """Whether it is one of the fused kernels of scaled dot product attention."""
    return base_name(func).startswith(_ATTENTION)


def family_of(func: OpOverload) -> Family:
    """What users call it, as far as it has operands that hardware may round."""
    product = product_of(func)
    if product is not None:
        return product.family
    if is_attention(func):
        return "attention"
    return "recurrent layer" if base_name(func) in _RECURRENT else ""
