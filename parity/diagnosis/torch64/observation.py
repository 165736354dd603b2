"""What an observer of the evaluation is handed: one record for every ATen result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True)
class Observation:
    """One operator has run.

    The tensors are the live ones: a later in-place operator may change them, so an observer keeps copies or
    sketches, not the tensors.
    """

    op_name: str  # aten.convolution.default
    inputs: tuple[Tensor, ...]  # every tensor argument, lists of tensors flattened
    outputs: tuple[Tensor, ...]  # every tensor result; of an in-place operator, the tensor that it changed
    module_path: str  # backbone.blocks.1.4; empty in the root module's own forward
    source: str  # model.py:31, the innermost line that is not PyTorch's own; empty when there is none


Observer = Callable[[Observation], None]
