"""What was matched with what, in words."""

from __future__ import annotations

from parity.records.matching import Matching

from . import figures

_NOUNS = {"rows": "row", "sorted": "sorted value", "topk": "top k value"}


def facts(found: Matching | None) -> list[tuple[str, str]]:
    """How many were matched, and those that were not, (name, text); nothing where nothing is matched."""
    if found is None:
        return []
    return [("matched", summary(found)), *(("unmatched", example) for example in found.examples)]


def summary(found: Matching) -> str:
    """``12 rows with 11, 3 at another place, 1 without a counterpart (1 of them optional)``."""
    if found.kind == "argmax":
        same = found.reference - found.flipped
        told = [f"{same:,} of {figures.counted(found.reference, 'decision')} as in the reference"]
        return ", ".join(told + [f"{found.undecided:,} within the margin"] * bool(found.undecided))
    told = [f"{figures.counted(found.reference, _NOUNS[found.kind])} with {found.candidate:,}"]
    told += [f"{found.moved:,} at another place"] * bool(found.moved)
    if without := found.lone_reference + found.lone_candidate:
        optional = f" ({found.optional:,} of them optional)" if found.optional else ""
        told.append(f"{without:,} without a counterpart{optional}")
    told += [f"{found.swapped:,} tied with another at the end"] * bool(found.swapped)
    return ", ".join(told)


def lone(found: Matching | None) -> int:
    """Rows without the counterpart that they need."""
    return found.lone_reference + found.lone_candidate - found.optional if found else 0
