"""Whose fault it is when no single change explains the error: the file's, or the exporter's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from onnx import ModelProto, TensorProto

from parity.diagnosis.graphs.reexport import FreshExport
from parity.diagnosis.onnx64 import Graph64
from parity.diagnosis.tracing import Trace
from parity.records.diagnosis import Cause, CauseKind
from parity.registry import EXPORTERS

from .causes import ROUNDED, STALE
from .mending import measure_model
from .subject import Subject

EXPLAINS = 0.5  # the share of an error that a right file has not
_QUANTIZING = ("QuantizeLinear", "DynamicQuantizeLinear", "QLinearConv", "QLinearMatMul", "MatMulInteger")


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
    subject: Subject, fresh: FreshExport, export_otherwise: Callable[[str], FreshExport | None]
) -> Verdict:
    """Evaluates the fresh export, made as the file was, on the same inputs.

    `export_otherwise` exports with the exporter of a name, and gives None where that can't be done.
    """
    measured = measure_model(subject, fresh.model)
    causes: dict[str, Cause] = {}
    defects: list[str] = []
    for name, share in measured.shares.items():
        if share >= EXPLAINS:
            causes[name] = _another_file(subject.model, fresh.model, share)
        else:
            defects.append(name)
    if not defects:
        return Verdict(causes, measured.trace)
    return Verdict(causes | _defects(subject, fresh, export_otherwise, defects), None)


def _another_file(file: ModelProto, fresh: ModelProto, share: float) -> Cause:
    kind, what = _nature(file, fresh)
    remedy = ROUNDED if kind == "precision" else STALE
    return Cause(
        kind=kind, leg="export", message=f"{what}; a fresh export is right", remedy=remedy, share=share
    )


def _nature(file: ModelProto, fresh: ModelProto) -> tuple[CauseKind, str]:
    here, there = (Graph64(model).native for model in (file, fresh))
    if here != there:
        types = (TensorProto.DataType.Name(kind).lower() for kind in (here, there))
        return "precision", "the file computes in {}, the module in {}".format(*types)
    if _quantized(file) and not _quantized(fresh):
        return "precision", "the file is quantized, the module is not"
    return "structure", "the file is another graph throughout than a fresh export of the module"


def _quantized(model: ModelProto) -> bool:
    return any(node.op_type in _QUANTIZING for node in model.graph.node)


def _defects(
    subject: Subject,
    fresh: FreshExport,
    export_otherwise: Callable[[str], FreshExport | None],
    names: list[str],
) -> dict[str, Cause]:
    """The exporter makes the same error today. Another may be right."""
    for exporter in EXPORTERS:
        other = export_otherwise(exporter) if exporter != fresh.exporter else None
        if other is None:
            continue
        shares = measure_model(subject, other.model).shares
        if all(shares[name] >= EXPLAINS for name in names):
            remedy = f"export with `exporter: {exporter}`, whose file is right, and report this to PyTorch"
            return {name: _defect(fresh, remedy, shares[name]) for name in names}
    remedy = "rewrite what this module does in operators that export, and report this to PyTorch"
    return {name: _defect(fresh, remedy, None) for name in names}


def _defect(fresh: FreshExport, remedy: str, share: float | None) -> Cause:
    return Cause(
        kind="structure",
        leg="export",
        message=f"a fresh export has the same error: the {fresh.exporter} exporter does not write what this "
        "module computes",
        remedy=remedy,
        share=share,
    )
