"""PyTorch's half of `Numerics`: single settings, applied and read back.

TF32 has two APIs. Since PyTorch 2.9 `fp32_precision` is the one in force; `allow_tf32` and
`set_float32_matmul_precision` remain, and reading one raises when it contradicts the new one, in
`torch.backends.cudnn.flags()` for instance. So both are set, the old first, to the same thing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import torch

from parity.records.jobs import Numerics
from parity.records.outcomes import Setting

# These modules make their attributes at run time, where no type checker sees them.
_BACKENDS: Any = torch.backends

_STRICT = Numerics(
    cudnn_benchmark=False,
    cudnn_deterministic=True,
    deterministic_algorithms=True,
    tf32=False,
    reduced_precision_reduction=False,
)


def apply(numerics: Numerics) -> None:
    """Applies every setting that is not None; called again before each run, as user code may change them."""
    if numerics.grad is not None:
        torch.set_grad_enabled(numerics.grad)
    if numerics.cudnn_benchmark is not None:
        _BACKENDS.cudnn.benchmark = numerics.cudnn_benchmark
    if numerics.cudnn_deterministic is not None:
        _BACKENDS.cudnn.deterministic = numerics.cudnn_deterministic
    if numerics.deterministic_algorithms is not None:
        _set_deterministic(numerics.deterministic_algorithms)
    if numerics.tf32 is not None:
        _set_tf32(numerics.tf32)
    if numerics.reduced_precision_reduction is not None:
        matmul = _BACKENDS.cuda.matmul
        matmul.allow_fp16_reduced_precision_reduction = numerics.reduced_precision_reduction
        matmul.allow_bf16_reduced_precision_reduction = numerics.reduced_precision_reduction


def settings() -> dict[str, Setting]:
    """The settings in force, as PyTorch reports them, by the name under which PyTorch has them."""
    cuda, cudnn, mkldnn = _BACKENDS.cuda.matmul, _BACKENDS.cudnn, _BACKENDS.mkldnn
    return {
        "torch.is_grad_enabled": torch.is_grad_enabled(),
        "torch.backends.cudnn.enabled": cudnn.enabled,
        "torch.backends.cudnn.benchmark": cudnn.benchmark,
        "torch.backends.cudnn.deterministic": cudnn.deterministic,
        "torch.backends.cudnn.conv.fp32_precision": cudnn.conv.fp32_precision,
        "torch.backends.cudnn.rnn.fp32_precision": cudnn.rnn.fp32_precision,
        "torch.backends.cuda.matmul.fp32_precision": cuda.fp32_precision,
        "torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction": (
            cuda.allow_fp16_reduced_precision_reduction
        ),
        "torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction": (
            cuda.allow_bf16_reduced_precision_reduction
        ),
        "torch.backends.mkldnn.matmul.fp32_precision": mkldnn.matmul.fp32_precision,
        "torch.backends.mkldnn.conv.fp32_precision": mkldnn.conv.fp32_precision,
        "torch.are_deterministic_algorithms_enabled": torch.are_deterministic_algorithms_enabled(),
        "torch.is_deterministic_algorithms_warn_only_enabled": (
            torch.is_deterministic_algorithms_warn_only_enabled()
        ),
        "torch.get_num_threads": torch.get_num_threads(),
        "torch.get_num_interop_threads": torch.get_num_interop_threads(),
    }


@contextmanager
def strict() -> Iterator[bool]:
    """Full float32 arithmetic in a fixed order; afterwards the settings are what they were.

    Gives whether they were others.
    """
    before = settings()
    with ExitStack() as restoring:
        _remember(restoring)
        apply(_STRICT)
        yield settings() != before


def _remember(restoring: ExitStack) -> None:
    """Has every setting of `_STRICT` put back; the old API first, since it writes what the new one reads."""
    cuda, cudnn, mkldnn = _BACKENDS.cuda, _BACKENDS.cudnn, _BACKENDS.mkldnn
    attributes = [(owner, "fp32_precision") for owner in (cuda.matmul, cudnn.conv, cudnn.rnn)]
    attributes += [(owner, "fp32_precision") for owner in (mkldnn.matmul, mkldnn.conv, mkldnn.rnn)]
    attributes += [(cudnn, "benchmark"), (cudnn, "deterministic")]
    attributes += [(cuda.matmul, f"allow_{dtype}_reduced_precision_reduction") for dtype in ("fp16", "bf16")]
    for owner, name in attributes:
        restoring.callback(setattr, owner, name, getattr(owner, name))
    restoring.callback(
        torch.use_deterministic_algorithms,
        torch.are_deterministic_algorithms_enabled(),
        warn_only=torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    with suppress(RuntimeError):  # it contradicts the new API, which then has it all
        restoring.callback(setattr, cudnn, "allow_tf32", cudnn.allow_tf32)
    with suppress(RuntimeError):
        restoring.callback(torch.set_float32_matmul_precision, torch.get_float32_matmul_precision())


def _set_deterministic(enabled: bool) -> None:
    if enabled:
        # cuBLAS reads this when it starts; without it its matrix products may differ from run to run.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # Only a warning: an operator without a deterministic form is no reason not to judge the model.
    torch.use_deterministic_algorithms(enabled, warn_only=True)


def _set_tf32(enabled: bool) -> None:
    # "highest" also takes back a lower precision on the CPU, that importing the user's code may have set.
    torch.set_float32_matmul_precision("highest")
    _BACKENDS.cuda.matmul.allow_tf32 = enabled
    _BACKENDS.cudnn.allow_tf32 = enabled
    precision = "tf32" if enabled else "ieee"  # "none" would inherit torch.backends.fp32_precision
    _BACKENDS.cuda.matmul.fp32_precision = precision
    _BACKENDS.cudnn.conv.fp32_precision = precision
    _BACKENDS.cudnn.rnn.fp32_precision = precision
    _BACKENDS.mkldnn.conv.fp32_precision = "ieee"
    _BACKENDS.mkldnn.rnn.fp32_precision = "ieee"
