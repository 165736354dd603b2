"""What was put right, in the terms of a report: cause, evidence, and the line that mends it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from parity.diagnosis.graphs.comparing import Change
from parity.diagnosis.initializers.findings import Finding
from parity.records.diagnosis import Cause, CauseKind

STALE = "export again: the file is older than the module, or was altered since"
ROUNDED = "export again without the conversion, or give the outputs a tolerance for it"
NAN = "export again: the file holds numbers that are none"
TRAINING = "call eval() on the module, and on what wraps it, before the export"

_REMEDIES: Mapping[CauseKind, str] = {"precision": ROUNDED, "nan": NAN, "train-mode": TRAINING}
_NEGLIGIBLE = 0.01  # share of an error


def of_changes(
    changes: Sequence[Change], singles: Sequence[float], together: float, parameters: Mapping[str, str]
) -> tuple[Cause, ...]:
    """One cause for each change, the largest share first.

    Args:
        changes: those that reach the output.
        singles: the share of each; empty where only all of them were measured.
        together: the share of all of them.
        parameters: initializer -> the module's parameter that it is.
    """
    if not singles:
        return (_pooled(changes, together),) if len(changes) > 1 else ()
    ranked = sorted(zip(changes, singles, strict=True), key=lambda each: -each[1])
    telling = [each for each in ranked if each[1] > _NEGLIGIBLE] or ranked
    return tuple(_of_change(change, share, parameters) for change, share in telling)


def _of_change(change: Change, share: float | None, parameters: Mapping[str, str]) -> Cause:
    kind = kind_of(change)
    parameter = parameters.get(change.tensor, "")
    named = f" ({parameter})" if parameter and parameter not in change.message else ""
    return Cause(
        kind=kind,
        leg="export",
        message=change.message + named,
        remedy=_REMEDIES.get(kind, STALE),
        share=share,
        node=change.node,
        tensor=change.tensor,
    )


def kind_of(change: Change) -> CauseKind:
    """The kind of cause that a change is."""
    trains = change.op_type in ("Dropout", "BatchNormalization") and "training_mode" in change.message
    return "train-mode" if trains else change.kind


def _pooled(changes: Sequence[Change], share: float) -> Cause:
    """Many changes as one cause: most often a file of another checkpoint."""
    kinds = Counter(kind_of(change) for change in changes)
    kind, _ = kinds.most_common(1)[0]
    listed = ", ".join(f"{count} {name}" for name, count in kinds.most_common())
    first = changes[0]
    return Cause(
        kind=kind,
        leg="export",
        message=f"{len(changes)} changes since the export ({listed}); the first: {first.message}",
        remedy=_REMEDIES.get(kind, STALE),
        share=share,
        node=first.node,
        tensor=first.tensor,
    )


def of_findings(findings: Sequence[Finding], share: float, summary: str | None) -> tuple[Cause, ...]:
    """Initializers that are not the checkpoint's."""
    first = findings[0]
    described = [finding.description for finding in findings if finding.description is not None]
    kind: CauseKind = described[0].kind
    said = f"initializer {first.name!r} is not the checkpoint's {first.parameter}: {described[0].message}"
    if len(findings) > 1:
        count = summary or f"{len(findings)} initializers are not those of the checkpoint"
        said = f"{count}; the first: {said}"
    return (
        Cause(
            kind=kind,
            leg="export",
            message=said,
            remedy=_REMEDIES.get(kind, STALE),
            share=share,
            node=first.nodes[0] if first.nodes else "",
            tensor=first.name,
        ),
    )
