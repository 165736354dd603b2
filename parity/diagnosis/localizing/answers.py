"""What is found of a divergence of the graph from the module."""

from __future__ import annotations

from dataclasses import dataclass

from parity.diagnosis.tracing import TracedOp


@dataclass(frozen=True, slots=True)
class Suspect:
    """A node that may be where the graph departs from the module.

    Args:
        op: the node.
        tensor: index of its first output that leads to the error.
        inherited: greatest distance of its inputs from their counterparts.
        local: distance of that output from its nearest PyTorch tensor, None if there is none that near.
        reason: in words, what makes it one.
    """

    op: TracedOp
    tensor: int
    inherited: float
    local: float | None
    reason: str


@dataclass(frozen=True, slots=True)
class Localization:
    """Where one output departs from the module.

    Args:
        suspects: the best first; none when the output is what it should be.
        region: nodes between the last sound tensors and the output, in order. One of them, or of the
            suspects, is at fault.
        counterpart: index of the PyTorch tensor that should have been in place of the first suspect's.
    """

    suspects: tuple[Suspect, ...] = ()
    region: tuple[TracedOp, ...] = ()
    counterpart: int | None = None
