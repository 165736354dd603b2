"""What the gate says and does about nodes that the requested execution provider did not take; pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from parity.records.jobs import MODEL
from parity.records.outcomes import Loaded, Ran, SessionOpened, Unanswered
from parity.records.placement import Crossings, Misplaced, Placement, PlacementRule
from parity.records.results import Problem
from parity.records.runs import ComparisonRun

_MOST_OPERATORS = 12
_MOST_NODES = 5  # names of one operator's nodes
_UNITS = ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))


def placements(run: ComparisonRun) -> tuple[tuple[Placement, ...], tuple[Placement, ...]]:
    """The placement of each session of the reference, which has none in PyTorch, and of the candidate.

    With what crosses between providers, once a run has told.
    """
    reference = run.reference.placements if isinstance(run.reference, Loaded) else ()
    candidate = [
        opened.placement
        for opened in run.sessions.values()
        if isinstance(opened, SessionOpened) and opened.placement is not None
    ]
    return (
        _measured(reference, (each.reference for each in run.sets)),
        _measured(candidate, (each.candidate for each in run.sets)),
    )


def _measured(opened: Iterable[Placement], runs: Iterable[Ran | Unanswered | None]) -> tuple[Placement, ...]:
    found = {placement.component: placement for placement in opened}
    for run in runs:
        if isinstance(run, Ran):
            found |= {measured.component: measured for measured in run.placements}
    return tuple(found.values())


def notes(found: Iterable[Placement], rule: PlacementRule) -> Iterator[str]:
    """One sentence on each session with nodes elsewhere, where the specification wants no more than that."""
    return _sentences(found) if rule == "warn" else iter(())


def _sentences(found: Iterable[Placement]) -> Iterator[str]:
    for placement in found:
        if placement.unknown:
            yield f"{_whose(placement)}placement is unknown: {placement.unknown}"
        elif placement.elsewhere:
            yield _told(placement)


def problem(found: Iterable[Placement], rule: PlacementRule, at: str) -> Problem | None:
    """Why the cases of these sessions are not judged under ``placement: strict``; None when they are.

    Args:
        found: every session of the comparison.
        rule: of the specification.
        at: the place of the rule in it.
    """
    if rule != "strict":
        return None
    wrong = [placement for placement in found if placement.elsewhere or placement.unknown]
    if not wrong:
        return None
    return Problem(
        kind="placement",
        message="; ".join(_sentences(wrong)),
        at=at,
        fix="export the model so that the provider has kernels for all of it, or write `placement: warn`",
        detail="\n".join(line for placement in wrong for line in _lines(placement)),
    )


def _told(placement: Placement) -> str:
    total = sum(placement.nodes.values())
    operators = ", ".join(operator_text(each) for each in placement.elsewhere[:_MOST_OPERATORS])
    rest = len(placement.elsewhere) - _MOST_OPERATORS
    more = f" and {rest} more operators" if rest > 0 else ""
    told = (
        f"{_whose(placement)}{placement.elsewhere_count:,} of {total:,} nodes are not on "
        f"{placement.requested}: {operators}{more}"
    )
    return f"{told}; {crossing_text(placement.crossings)}" if placement.crossings else told


def crossing_text(crossings: Crossings) -> str:
    """``1.5 KiB cross between providers in each run (3 tensors)``, and why that may not be all."""
    if not crossings.count and not crossings.unknown:
        return "no tensor crosses between providers"
    tensors = f"{crossings.count:,} tensor{'s' if crossings.count != 1 else ''}"
    if crossings.unknown and not crossings.bytes:
        return f"how many bytes cross between providers is unknown ({tensors}): {crossings.unknown}"
    told = f"{_size(crossings.bytes)} cross between providers in each run ({tensors})"
    return f"{told}, and more of unknown size: {crossings.unknown}" if crossings.unknown else told


def operator_text(each: Misplaced) -> str:
    """``Det x 3 (head/Det, head/Det_1, ...)``: nodes of one operator, the first by name."""
    count = f" x {each.count:,}" if each.count > 1 else ""
    named = [name for name in each.nodes if name][:_MOST_NODES]
    if not named:
        return f"{each.op_type}{count}"
    rest = ", ..." if each.count > len(named) else ""
    return f"{each.op_type}{count} ({', '.join(named)}{rest})"


def _lines(placement: Placement) -> Iterator[str]:
    for each in placement.elsewhere:
        for name in each.nodes:
            yield f"{each.provider} runs {each.op_type} {name!r}"
        if each.count > len(each.nodes):
            yield f"{each.provider} runs {each.count - len(each.nodes):,} more {each.op_type}"
    for crossing in placement.crossings.largest if placement.crossings else ():
        size = f"{crossing.bytes:,} bytes" if crossing.bytes is not None else crossing.unknown
        yield f"{crossing.tensor!r} goes from {crossing.source} to {crossing.target}: {size}"


def _whose(placement: Placement) -> str:
    return "" if placement.component == MODEL else f"{placement.component}: "


def _size(count: int) -> str:
    for unit, name in _UNITS:
        if count >= unit:
            return f"{count / unit:.3g} {name}"
    return f"{count} bytes"
