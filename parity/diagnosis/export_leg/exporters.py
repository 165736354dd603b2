"""Whose fault it is when no single change explains the error: the file's, or the exporter's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from msgspec import structs
from onnx import ModelProto

from parity.diagnosis.graphs.reexport import FreshExport
from parity.diagnosis.tracing import Trace
from parity.records.diagnosis import Cause, Divergence
from parity.registry import EXPORTERS

from .causes import remedy
from .conversion import Conversion
from .explaining import EXPLAINS
from .mending import measure_model
from .subject import Subject


@dataclass(frozen=True)
class Verdict:
    """What a fresh export says about the outputs that nothing else explained.

    Args:
        causes: by output.
        right: the trace of the fresh export where it is right, to hold the file against.
    """

    causes: Mapping[str, Cause]
    right: Trace | None


def whose_fault(
    subject: Subject,
    fresh: FreshExport,
    converted: Conversion | None,
    export_otherwise: Callable[[str], ModelProto | None],
) -> Verdict:
    """Evaluates the fresh export, made as the file was, on the same inputs.

    `export_otherwise` exports with the exporter of a name, and gives None where that can't be done.

    Raises:
        Unable: the fresh export can't be evaluated.
    """
    measured = measure_model(subject, fresh.model)
    right = {name: share for name, share in measured.shares.items() if share >= EXPLAINS}
    causes = {name: _another_file(subject, converted, share) for name, share in right.items()}
    defects = [name for name in measured.shares if name not in right]
    if not defects:
        return Verdict(causes, measured.trace)
    return Verdict(causes | _defects(subject, fresh, export_otherwise, defects), None)


def _another_file(subject: Subject, converted: Conversion | None, share: float) -> Cause:
    if converted is not None:
        return converted.cause(share, "")
    return Cause(
        kind="structure",
        leg="export",
        message="the file is another graph throughout than a fresh export of the module, which is right",
        remedy=remedy("structure", made_here=subject.made_here),
        share=share,
    )


def _defects(
    subject: Subject,
    fresh: FreshExport,
    export_otherwise: Callable[[str], ModelProto | None],
    names: list[str],
) -> dict[str, Cause]:
    """The exporter makes the same error today. Another may be right."""
    for exporter in EXPORTERS:
        other = export_otherwise(exporter) if exporter != fresh.exporter else None
        if other is None:
            continue
        shares = measure_model(subject, other).shares
        if all(shares[name] >= EXPLAINS for name in names):
            advice = f"export with `exporter: {exporter}`, whose file is right, and report this to PyTorch"
            return {name: _defect(fresh, advice, shares[name]) for name in names}
    advice = "rewrite what this module does in operators that export, and report this to PyTorch"
    return {name: _defect(fresh, advice, None) for name in names}


def _defect(fresh: FreshExport, advice: str, share: float | None) -> Cause:
    return Cause(
        kind="structure",
        leg="export",
        message=f"a fresh export has the same error: the {fresh.exporter} exporter does not write what this "
        "module computes",
        remedy=advice,
        share=share,
    )


def without_choice(cause: Cause, fresh: FreshExport, where: Divergence | None) -> Cause:
    """The cause, with what mends it where the module decides by its input what it computes there.

    An exporter that traces writes what the module did with the example. A fresh export, whose example is this
    call's input, then differs from the file although the module has not changed.
    """
    if cause.kind not in ("attribute", "structure") or where is None or not where.source:
        return cause
    file = where.source.rpartition(":")[0]
    lines = [line for line in fresh.frozen if line.rpartition(":")[0] == file]
    if not lines:
        return cause
    more = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
    return structs.replace(
        cause,
        message=f"{cause.message}; the {fresh.exporter} exporter freezes what Python decides at "
        f"{lines[0]}{more} as it is for the example",
        remedy="decide there with tensor operators such as torch.where, or export with an example like this "
        "input; if the module has changed since, export again",
    )
