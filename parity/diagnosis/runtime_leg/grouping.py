"""Nodes that are off for one reason. A setting puts many off at once, and one cause should name it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from parity.diagnosis.precision import ROUNDINGS, Format
from parity.diagnosis.runtime_leg.hypotheses import Kind
from parity.diagnosis.runtime_leg.node_pass import OffNode

_TEN_BITS: tuple[Format, ...] = ("tf32", "float16")
_AS_GOOD = 0.02  # difference of two formats' shares at one node that noise makes


@dataclass(frozen=True)
class Group:
    """Nodes in the order of evaluation, off for one reason.

    Args:
        form: the rounding of operands that reproduces them.
        setting: the value of a setting that mends them.
    """

    nodes: tuple[OffNode, ...]
    kind: Kind
    form: Format | None = None
    setting: str = ""

    @property
    def reproduced(self) -> float:
        """The share of the nodes' own errors that the format reproduces, on average; 0 without one."""
        tried = [one for one in self.nodes if one.explanation is not None]
        shares = [_share(one, self.form) for one in tried] if self.form else []
        return sum(shares) / len(shares) if shares else 0.0


def grouped(off: Sequence[OffNode]) -> list[Group]:
    """The groups of nodes; those that nothing was tried on go with the largest group.

    A format takes all the nodes that it explains as well as any other does, and the one that takes most comes
    first. TF32 and float16 both keep 10 bits, and part only at ties and small numbers: it is TF32, which
    hardware does unasked, unless float16 leaves less than half as much of the errors.
    """
    tried = [one for one in off if one.explanation is not None]
    found: dict[tuple[Kind, Format | None, str], list[OffNode]] = {}
    left = [one for one in tried if one.explanation and one.explanation.formats]
    while left:
        takes = {form: [one for one in left if _explains(one, form)] for form in ROUNDINGS}
        form = max(takes, key=lambda name: len(takes[name]))
        if form == "tf32" and takes["float16"] == takes["tf32"]:
            rest = {name: sum(1 - _share(one, name) for one in takes["tf32"]) for name in _TEN_BITS}
            form = "float16" if rest["float16"] < 0.5 * rest["tf32"] else "tf32"
        found["reproduced", form, ""] = takes[form]
        left = [one for one in left if one not in takes[form]]
    for one in tried:
        if one.explanation and not one.explanation.formats:
            found.setdefault((one.explanation.kind, None, one.explanation.setting), []).append(one)
    if found:
        largest = max(found.values(), key=len)
        largest.extend(one for one in off if one.explanation is None)
    return [Group(tuple(sorted(nodes, key=off.index)), *key) for key, nodes in found.items()]


def _share(one: OffNode, form: Format) -> float:
    return one.explanation.formats.get(form, 0.0) if one.explanation else 0.0


def _explains(one: OffNode, form: Format) -> bool:
    formats = one.explanation.formats if one.explanation else {}
    return form in formats and formats[form] >= max(formats.values()) - _AS_GOOD
