"""The presets of `numerics`: what makes two frameworks comparable, and what leaves them alone."""

from __future__ import annotations

from typing import Any

import msgspec

from parity.records.jobs import Numerics
from parity.spec.settings import NumericsSpec, Preset

PRESETS: dict[Preset, Numerics] = {
    # Full float32 arithmetic in a fixed order on both sides, and the graph as the file has it.
    "strict": Numerics(
        grad=False,
        cudnn_benchmark=False,
        cudnn_deterministic=True,
        deterministic_algorithms=True,  # only warns where an operation has none: the model must run
        tf32=False,
        reduced_precision_reduction=False,
        optimization="disable_all",
        arena_extend_strategy="kNextPowerOfTwo",
        cudnn_conv_algo_search="HEURISTIC",
        do_copy_in_default_stream=True,
        deterministic_compute=True,
        constant_folding=False,
    ),
    # As in production. Gradients stay off all the same: no one deploys with them, and they take memory.
    "default": Numerics(grad=False),
}


def resolve(spec: NumericsSpec) -> tuple[str, Numerics]:
    """The name for reports, such as ``strict with tf32=true``, and the settings."""
    given: dict[str, Any] = {
        name: value
        for name in Numerics.__struct_fields__
        if (value := getattr(spec, name)) is not None
    }  # fmt: skip
    numerics = msgspec.structs.replace(PRESETS[spec.preset], **given)
    changes = ", ".join(
        f"{name}={str(value).lower() if value in (True, False) else value}" for name, value in given.items()
    )
    return f"{spec.preset} with {changes}" if changes else spec.preset, numerics
