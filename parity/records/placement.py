"""Which execution provider runs each node of an ONNX Runtime session, and what crosses between providers."""

from __future__ import annotations

from typing import Literal

from .tensors import Record

PlacementRule = Literal["warn", "strict", "ignore"]


class Misplaced(Record):
    """Nodes of one operator that another provider runs than the requested one."""

    op_type: str  # Det; with its domain where that is not ONNX's own: com.microsoft::FusedConv
    provider: str
    count: int
    nodes: tuple[str, ...]  # their names, the first of them where there are many; a node may have none


class Crossing(Record):
    """A tensor that one provider's node makes and another provider's node reads."""

    tensor: str
    source: str  # provider
    target: str
    bytes: int | None = None  # in each run; None: unknown
    unknown: str = ""  # why


class Crossings(Record):
    """All tensors that cross between providers inside a session's graph, for inputs of `input_set`.

    Inputs, outputs and weights of the model are not among them: they move whatever the placement is.
    """

    input_set: str
    count: int
    bytes: int  # of those whose size is known, in each run
    unknown: str = ""  # why that is not all; empty when it is
    largest: tuple[Crossing, ...] = ()  # those of unknown size last


class Placement(Record):
    """One session: who runs its nodes, as ONNX Runtime recorded it when it divided the graph.

    `crossings` is None when nothing is placed elsewhere, or as long as the session has not run.
    """

    component: str
    requested: str  # CUDAExecutionProvider
    nodes: dict[str, int]  # provider -> how many nodes it runs
    elsewhere: tuple[Misplaced, ...] = ()
    crossings: Crossings | None = None
    unknown: str = ""  # why nothing is known; empty when it is

    @property
    def elsewhere_count(self) -> int:
        """Nodes that the requested provider does not run."""
        return sum(each.count for each in self.elsewhere)
