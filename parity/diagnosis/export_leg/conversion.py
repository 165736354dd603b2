"""Files that were converted on purpose: to a narrower float type, or quantized."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import torch
from onnx import ModelProto, TensorProto, helper, numpy_helper

from parity.diagnosis.onnx64.constants import element_types, graphs, native_float, without_weights
from parity.diagnosis.tracing import Trace
from parity.records.diagnosis import Cause

from .causes import ROUNDED, reached
from .finding import Spot, expected_of
from .subject import Subject

QUANTIZING = frozenset(
    [
        *("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "QLinearConv", "QLinearMatMul"),
        *("MatMulInteger", "ConvInteger", "QGemm"),
    ]
)
_NARROW = {torch.float16: TensorProto.FLOAT16, torch.bfloat16: TensorProto.BFLOAT16}


@dataclass(frozen=True)
class Conversion:
    """What a file was converted to.

    Args:
        message: the same in words.
        native: the ONNX float type that it computes in; None where it is quantized.
    """

    message: str
    native: int | None

    def cause(self, share: float | None, node: str) -> Cause:
        """That it is why an output is off; `node` is where that starts."""
        return Cause(
            kind="precision", leg="export", message=self.message, remedy=ROUNDED, share=share, node=node
        )


def conversion(subject: Subject) -> Conversion | None:
    """What the file was converted to, None where it computes as its module does."""
    model = subject.model
    kinds = {node.op_type for graph in graphs(model.graph) for node in graph.node}
    if kinds & QUANTIZING:
        own = any("quantization" in type(each).__module__ for each in subject.module.modules())
        return None if own else Conversion("the file is quantized, the module is not", None)
    native = native_float(model, element_types(without_weights(model)))
    held = Counter[torch.dtype]()
    for tensor in subject.state.values():
        if tensor.is_floating_point():
            held[tensor.dtype] += tensor.numel()
    own_type = _NARROW.get(max(held, key=lambda each: held[each], default=torch.float32), TensorProto.FLOAT)
    if native not in _NARROW.values() or native == own_type:
        return None
    said = f"the file computes in {type_name(native)}, the module in {type_name(own_type)}"
    return Conversion(said, native)


def type_name(kind: int) -> str:
    """An ONNX element type as NumPy calls it: ``float32``."""
    return str(helper.tensor_dtype_to_np_dtype(kind).name)


def first_quantizing(graph: Trace, right: Trace, output: str) -> Spot | None:
    """The first node, in the trace of a quantized file, that quantizes what an output depends on."""
    for op in graph.ops:
        given = [graph.tensors[index] for index in op.inputs if index is not None]
        if (
            op.op_type in QUANTIZING
            and not all(tensor.constant for tensor in given)
            and output in reached(graph, op.index)
        ):
            name = next(graph.tensors[index].name for index in op.outputs if index is not None)
            return Spot(op.node, op.op_type, name, expected_of(graph, right, name))
    return None


def narrowed(model: ModelProto, native: int) -> ModelProto:
    """A copy of a model whose float32 constants are of a narrower type."""
    copy = ModelProto()
    copy.CopyFrom(model)
    for graph in graphs(copy.graph):
        constants = [*graph.initializer]
        constants += [a.t for node in graph.node for a in node.attribute if node.op_type == "Constant"]
        for tensor in constants:
            if tensor.data_type == TensorProto.FLOAT:
                with np.errstate(over="ignore"):
                    value = numpy_helper.to_array(tensor).astype(helper.tensor_dtype_to_np_dtype(native))
                tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))
    return copy
