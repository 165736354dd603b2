"""How the elements of an output are paired before they are compared, and what came of it."""

from __future__ import annotations

from typing import Literal

from .tensors import Record

MatchKind = Literal["rows", "sorted", "topk", "argmax"]


class MatchMember(Record):
    """One output of a group whose rows move together, with the bound that tells which rows may be the same.

    A member without a bound goes along with the others and does not decide.
    """

    output: str  # its ONNX name
    atol: float | None = None
    rtol: float | None = None
    equal_nan: bool = False


class MatchGroup(Record):
    """Outputs that are matched as one: the first of `members` asked for it."""

    kind: MatchKind
    members: tuple[MatchMember, ...]
    axis: int | None = None  # None: rows along the first, top k along the last, all values sorted together


class Matching(Record):
    """What was matched with what. A unit is a row, a value of a sorted output or of a top k, or a decision.

    `examples` describes, in words, the first units that found no counterpart or decided otherwise.
    """

    kind: MatchKind
    reference: int  # units on either side
    candidate: int
    moved: int = 0  # matched with a unit at another place
    lone_reference: int = 0  # without a counterpart, whether or not that is allowed
    lone_candidate: int = 0
    optional: int = 0  # of the lone ones: allowed by `optional_below`
    swapped: int = 0  # entries of a top k that another one with a value at its end takes the place of
    flipped: int = 0  # decisions that differ
    undecided: int = 0  # decisions that may differ: the reference's own margin is too small
    flipped_margin: float = 0.0  # greatest margin of the reference where a decision differs
    examples: tuple[str, ...] = ()
