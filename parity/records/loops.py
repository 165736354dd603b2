"""A component with state: how its steps follow from one another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, TypeVar

from .tensors import Record


class LoopJob(Record):
    """How many steps, and where the inputs of each come from: any that is not named is always the same."""

    steps: int  # at least 2
    state: dict[str, str]  # ONNX output -> the input that it is in the next step
    split: dict[str, int] = {}  # input -> axis along which it is cut into equal pieces, one for each step
    grow: dict[str, int] = {}  # input -> axis along which it gets one longer with each step


class _Indexed(Protocol):
    @property
    def index(self) -> int: ...


C = TypeVar("C", bound=_Indexed)


def whole_loops(calls: Sequence[C], loop: LoopJob) -> Iterator[tuple[C, ...]]:
    """The calls of one component by the loops that they are steps of; a loop that lacks one is left out.

    Args:
        calls: of one component, in order.
        loop: the component's.
    """
    of_loop: dict[int, list[C]] = {}
    for call in calls:
        of_loop.setdefault(call.index // loop.steps, []).append(call)
    yield from (tuple(steps) for steps in of_loop.values() if len(steps) == loop.steps)
