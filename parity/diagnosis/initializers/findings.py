"""What is said about one constant of a file, and about all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from onnx import ModelProto

from parity.artifacts import Array

from .describing import Description, describe
from .layouts import same
from .tensors import FileTensor, replace

Relation = Literal[
    "equal",
    "transposed",
    "reshaped",
    "split",
    "folded",
    "scaled",
    "cast",
    "permuted",
    "altered",
    "unknown",
]


@dataclass(frozen=True, eq=False)
class Finding:
    """Where a floating initializer, or the tensor of a Constant node, comes from.

    Args:
        name: of the tensor in the file.
        nodes: those that take it, by name, or by their first output if they have none.
        parameter: of the module, with commas between several; a slice is noted as ``name[0:8]``. Empty: none.
        relation: ``equal`` to ``permuted`` are sound. ``altered``: it should be the parameter, and differs.
            ``unknown``: nothing tells; most often forward computed it.
        description: how it differs, when altered.
        expected: what the file should hold, in its layout and dtype, when altered.
    """

    name: str
    nodes: tuple[str, ...]
    parameter: str = ""
    relation: Relation = "unknown"
    description: Description | None = None
    expected: Array | None = None

    def mend(self, model: ModelProto) -> ModelProto:
        """A copy of the model with this tensor as it should be.

        Raises:
            ValueError: the tensor is not altered.
        """
        if self.expected is None:
            raise ValueError(f"{self.name} is not altered")
        return replace(model, self.name, self.expected)


def altered(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Those that differ from the checkpoint."""
    return tuple(each for each in findings if each.relation == "altered")


def summary(findings: Sequence[Finding]) -> str | None:
    """One sentence when much of the file differs from the checkpoint, None when little does.

    Much is at least three, and half of those that come from the checkpoint.
    """
    known = [each for each in findings if each.relation != "unknown"]
    wrong = altered(known)
    if len(wrong) < 3 or 2 * len(wrong) < len(known):
        return None
    kinds = {each.description.message for each in wrong if each.description is not None}
    head = f"{len(wrong)} of {len(known)} initializers differ from the checkpoint"
    precision = all(each.description is not None and each.description.kind == "precision" for each in wrong)
    if precision:
        return f"{head}: each {kinds.pop()}" if len(kinds) == 1 else f"{head}: the file was quantized or cast"
    return f"{head}: the file was exported from other weights"


def sound(tensor: FileTensor, parameter: str, relation: str) -> Finding:
    """Found in the checkpoint."""
    known: Relation = relation  # type: ignore[assignment]
    return Finding(tensor.name, tensor.labels, parameter, known)


def judged(tensor: FileTensor, found: Array, parameter: str, expected: Array) -> Finding:
    """With a norm folded in, or altered; `expected` has the shape of the file's."""
    if same(found, expected):
        return sound(tensor, parameter, "folded")
    return differing(tensor, found, parameter, expected)


def differing(tensor: FileTensor, found: Array, parameter: str, expected: Array, gates: int = 0) -> Finding:
    """Altered; `expected` has as many elements as the file's."""
    description = describe(found, expected, gates=gates)
    value = np.ascontiguousarray(expected.reshape(found.shape).astype(found.dtype))
    return Finding(tensor.name, tensor.labels, parameter, "altered", description, value)
