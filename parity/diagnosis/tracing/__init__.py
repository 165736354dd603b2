"""What both float64 evaluations computed, operator by operator, with a fingerprint of every tensor."""

from .onnx_trace import trace_graph
from .sketches import Sketch, sketch
from .torch_trace import trace_module
from .trace import Trace, TracedOp, TracedTensor

__all__ = ["Sketch", "Trace", "TracedOp", "TracedTensor", "sketch", "trace_graph", "trace_module"]
