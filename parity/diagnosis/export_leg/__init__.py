"""Why the ONNX graph computes something else than the module, where that starts, and what mends it."""

from .against_graph import NO_MODULE, diagnose_against_graph
from .diagnosing import diagnose_export
from .finding import ExportFinding
from .subject import NO_TRACE, Subject

__all__ = ["NO_MODULE", "NO_TRACE", "ExportFinding", "Subject", "diagnose_against_graph", "diagnose_export"]
