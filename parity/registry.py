"""Every extension point: name -> "module:attribute". Nothing is imported before it is used.

A new loader, input format, metric or reporter is one module, one line here, and one entry in the
contract test of its kind (tests/contract/). Installed packages may bring further loaders by entry points.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import entry_points
from operator import attrgetter
from typing import Any

LOADER_GROUP = "onnx_parity.loaders"  # of entry points

LOADERS: Mapping[str, str] = {
    "python": "parity.worker.loaders.python:load",
    "mmengine": "parity.worker.loaders.mmengine:load",
    "transformers": "parity.worker.loaders.transformers:load",
    "torchscript": "parity.worker.loaders.torchscript:load",
    "exported-program": "parity.worker.loaders.exported_program:load",
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
    "saved": "parity.worker.saved:SavedReference",
    "onnx-reference": "parity.worker.onnx_reference:OnnxReferenceSide",
    "candidate": "parity.worker.candidate:CandidateSide",
}
# Checked, and reported, in this order.
CRITERIA: Mapping[str, str] = {
    "nonfinite": "parity.judging.criteria:nonfinite",
    "exact": "parity.judging.criteria:exact",
    "rows": "parity.judging.criteria:rows",
    "argmax": "parity.judging.criteria:argmax",
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
    "report.html": "parity.reports.html:render",
}


def loaders_of_packages() -> dict[str, frozenset[str]]:
    """Loaders that installed packages bring: name -> "module:attribute"; more than one where they clash.

    Read from the packages' metadata: nothing of them is imported.
    """
    found: dict[str, set[str]] = {}
    for point in entry_points(group=LOADER_GROUP):
        found.setdefault(point.name, set()).add(f"{point.module}:{point.attr}")
    return {name: frozenset(places) for name, places in found.items()}


def find_loader(name: str) -> str:
    """Where a model loader is, as "module:attribute". No package replaces one of the project's own.

    Raises:
        LookupError: there is none of that name, or several; its text says what can be done.
    """
    if name in LOADERS:
        return LOADERS[name]
    others = loaders_of_packages()
    places = others.get(name, frozenset())
    if len(places) == 1:
        return next(iter(places))
    if places:
        raise LookupError(
            f"several installed packages bring it ({', '.join(sorted(places))}): uninstall all but one"
        )
    known = [*LOADERS, *others]
    near = get_close_matches(name, known, 1)
    if near:
        raise LookupError(f"did you mean {near[0]!r}?")
    raise LookupError(f"write {', '.join(known[:-1])} or {known[-1]}, or install the package that brings it")


def resolve(reference: str) -> Any:
    """The attribute that "package.module:attribute" names; imports the module."""
    module, _, attribute = reference.partition(":")
    return attrgetter(attribute)(import_module(module))
