"""A tensor in a few figures, as reports show it."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from parity.artifacts import Array
from parity.records.diagnosis import Statistics


def statistics(values: Tensor | Array) -> Statistics | None:
    """Of the finite elements, complex numbers as two; None where there is none."""
    tensor = values if isinstance(values, Tensor) else torch.from_numpy(values.astype(np.float64))
    if tensor.is_complex():
        tensor = torch.view_as_real(tensor.resolve_conj())
    tensor = tensor.to(torch.float64)
    finite = tensor[tensor.isfinite()]
    if not finite.numel():
        return None
    return Statistics(
        minimum=float(finite.min()),
        maximum=float(finite.max()),
        mean=float(finite.mean()),
        std=float(finite.std(correction=0)),
        nonfinite=tensor.numel() - finite.numel(),
    )
