"""Values of constants: of Constant nodes, and of the small arithmetic that exporters leave on them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import NodeProto, TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

Array = npt.NDArray[Any]

# What stands between a parameter and its use (layout), and between a shape and a number made of it.
_LAYOUT = {"Concat", "Expand", "Gather", "Identity", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze"}
_ARITHMETIC = {
    "Add",
    "Cast",
    "ConstantOfShape",
    "Div",
    "Mul",
    "Neg",
    "Pow",
    "Reciprocal",
    "Sqrt",
    "Sub",
    "Trilu",
}


def own_value(node: NodeProto) -> Array | None:
    """The value of a Constant node; None for strings and sparse tensors."""
    (attribute,) = node.attribute
    value = helper.get_attribute_value(attribute)
    if isinstance(value, TensorProto):
        return numpy_helper.to_array(value)
    if attribute.name in ("value_float", "value_floats"):
        return np.array(value, np.float32)
    if attribute.name in ("value_int", "value_ints"):
        return np.array(value, np.int64)
    return None


def fold(node: NodeProto, inputs: list[Array | None], opset: int) -> Array | None:
    """The first output of a node whose inputs are all constant; None for one that is not folded here."""
    given = {name: value for name, value in zip(node.input, inputs, strict=True) if name}
    if node.op_type not in _LAYOUT | _ARITHMETIC or node.domain not in ("", "ai.onnx"):
        return None
    if any(value is None for value in given.values()):
        return None
    infos = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
        for name, value in given.items()
        if value is not None
    ]
    out = helper.make_empty_tensor_value_info(node.output[0])
    graph = helper.make_graph([node], "constant", infos, [out])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    (result,) = ReferenceEvaluator(model).run([node.output[0]], given)
    return np.asarray(result)
