"""The ONNX graph evaluated in float64: what the file means, apart from any runtime."""

from __future__ import annotations

from parity.diagnosis.onnx64.evaluating import Evaluation, Graph64
from parity.diagnosis.onnx64.execution import Observer, Step
from parity.diagnosis.onnx64.recalling import Memory
from parity.diagnosis.onnx64.values import Unknown, Value, as_array

__all__ = ["Evaluation", "Graph64", "Memory", "Observer", "Step", "Unknown", "Value", "as_array"]
