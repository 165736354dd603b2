"""One node of a file as a model of its own, with its inputs rounded to the types that it has in the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import ml_dtypes
import numpy as np
import torch
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from parity.artifacts import Array
from parity.diagnosis.onnx64.execution import Step
from parity.diagnosis.onnx64.program import Node
from parity.diagnosis.onnx64.values import RAISED, Value

# What kernels demand as constants are shapes, axes, pads and the like: integers, and few of them.
_CONSTANT_LIKE = 1024
_IR_VERSION = 10
FLOAT_TYPES: Mapping[int, torch.dtype] = {
    TensorProto.FLOAT16: torch.float16,
    TensorProto.BFLOAT16: torch.bfloat16,
    TensorProto.FLOAT: torch.float32,
    TensorProto.DOUBLE: torch.float64,
}


class CannotIsolate(Exception):
    """A node that can't stand alone, for the reason that the message gives."""


@dataclass(frozen=True)
class Isolated:
    """A node alone.

    Args:
        model: of this one node.
        feeds: its inputs by name, in the types of the file.
        operands: the very same numbers as the evaluator holds them: floats in float64, in the node's order.
    """

    model: ModelProto
    feeds: Mapping[str, Array]
    operands: tuple[Value, ...]


def isolate(step: Step) -> Isolated:
    """The node of a step, on the step's inputs.

    Raises:
        CannotIsolate: control flow, a function's call, a sequence, a value that is not known.
    """
    node = step.node
    if node.function is not None or node.bodies:
        raise CannotIsolate("its parts are looked at instead")
    arrays: dict[str, Array] = {}
    operands: list[Value] = []
    for name, value in zip(node.inputs, step.inputs, strict=True):
        array, operand = _as_in_file(value, element_type(node, name))
        operands.append(operand)
        if array is not None:
            arrays[name] = array
    constants = {name: array for name, array in arrays.items() if _is_constant_like(array)}
    if len(constants) == len(arrays):
        constants = {}  # else the whole node is one
    feeds = {name: array for name, array in arrays.items() if name not in constants}
    try:
        return Isolated(_model(node, feeds, constants), feeds, tuple(operands))
    except (KeyError, TypeError, ValueError) as error:  # strings, types that ONNX has and NumPy has not
        raise CannotIsolate(f"{node.label} can't be written as a model: {error}") from error


def has_float_result(step: Step) -> bool:
    """Whether a result is a tensor of floats."""
    return any(
        isinstance(value, torch.Tensor) and value.is_floating_point() for value in step.outputs.values()
    )


def element_type(node: Node, name: str) -> int:
    """The type of a float in the file; inside of functions, where none is known, the model's own."""
    found = node.setting.types.get(name, node.setting.native)
    return found if found in RAISED else node.setting.native


def _as_in_file(value: Value, kind: int) -> tuple[Array | None, Value]:
    """The value as the runtime is given it, and as the evaluator is; None for an input that is left out."""
    if value is None:
        return None, None
    if isinstance(value, np.ndarray):
        return value, value
    if not isinstance(value, torch.Tensor):
        raise CannotIsolate(f"an input is a {'sequence' if isinstance(value, list) else 'value not known'}")
    if value.is_complex():
        raise CannotIsolate("an input is complex")
    if not value.is_floating_point():
        return value.cpu().numpy(), value
    narrow = value.to(FLOAT_TYPES[kind])
    return _to_numpy(narrow.cpu()), narrow.to(torch.float64)


def _to_numpy(tensor: torch.Tensor) -> Array:
    tensor = tensor.contiguous()
    if tensor.dtype == torch.bfloat16:
        return tensor.view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    array: Array = tensor.numpy()
    return array


def _is_constant_like(array: Array) -> bool:
    return array.dtype.kind in "iub" and array.size <= _CONSTANT_LIKE


def _model(node: Node, feeds: Mapping[str, Array], constants: Mapping[str, Array]) -> ModelProto:
    alone = NodeProto()
    alone.CopyFrom(node.proto)
    graph = helper.make_graph(
        [alone],
        "node",
        [_declared(name, array) for name, array in feeds.items()],
        [ValueInfoProto(name=name) for name in node.outputs if name],  # the runtime infers their types
        [numpy_helper.from_array(np.asarray(array, order="C"), name) for name, array in constants.items()],
    )
    opset = helper.make_opsetid(node.proto.domain, node.version)
    return helper.make_model(graph, opset_imports=[opset], ir_version=_IR_VERSION)


def _declared(name: str, array: Array) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
