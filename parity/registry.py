"""Every extension point: name -> "module:attribute". Nothing is imported before it is used.

A new loader, input format, metric or reporter is one module, one line here, and one entry in the
contract test of its kind (tests/contract/).
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

LOADERS: Mapping[str, str] = {
    "python": "parity.worker.loaders.python:load",
}
INPUT_FORMATS: Mapping[str, str] = {
    ".npz": "parity.worker.inputs.files:read_npz",
    ".npy": "parity.worker.inputs.files:read_npy",
    ".pt": "parity.worker.inputs.files:read_pt",
    ".pb": "parity.worker.inputs.files:read_pb",
}
EXPORTERS: Mapping[str, str] = {
    "torchscript": "parity.worker.exporting:export_torchscript",
    "dynamo": "parity.worker.exporting:export_dynamo",
}
SIDES: Mapping[str, str] = {
    "reference": "parity.worker.reference:ReferenceSide",
    "onnx-reference": "parity.worker.onnx_reference:OnnxReferenceSide",
    "candidate": "parity.worker.candidate:CandidateSide",
}
# Checked, and reported, in this order.
CRITERIA: Mapping[str, str] = {
    "nonfinite": "parity.judging.criteria:nonfinite",
    "exact": "parity.judging.criteria:exact",
    "elementwise": "parity.judging.criteria:elementwise",
    "mismatch": "parity.judging.criteria:mismatch",
    "max_abs": "parity.judging.criteria:max_abs",
    "noise": "parity.judging.criteria:noise",
    "mean_abs": "parity.judging.criteria:mean_abs",
    "rms": "parity.judging.criteria:rms",
    "cosine": "parity.judging.criteria:cosine",
    "snr_db": "parity.judging.criteria:snr_db",
    "ulp": "parity.judging.criteria:ulp",
    "quantile": "parity.judging.criteria:quantile",
}
REPORTERS: Mapping[str, str] = {
    "junit.xml": "parity.reports.junit:render",
    "summary.md": "parity.reports.markdown:render",
    "results.json": "parity.reports.results:render",
}


def resolve(reference: str) -> Any:
    """The attribute that "package.module:attribute" names; imports the module."""
    module, _, attribute = reference.partition(":")
    return getattr(import_module(module), attribute)
