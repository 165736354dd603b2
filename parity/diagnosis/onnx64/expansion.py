"""The functions by which the specification defines operators, for those that are not evaluated directly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import torch
from onnx import FunctionProto, TypeProto, defs

from parity.diagnosis.onnx64.building import Builder
from parity.diagnosis.onnx64.program import Node, Program, own_name
from parity.diagnosis.onnx64.values import Value, tensor_like


class Expansions:
    """The prepared functions of one model's nodes, for each combination of types and shapes that was met."""

    def __init__(self, builder: Builder) -> None:
        self._builder = builder
        self._known: dict[tuple[Node, tuple[object, ...]], Program | None] = {}

    def of(self, node: Node, inputs: Sequence[Value]) -> Program | None:
        """The body that defines the node's operator; `None` if its specification gives none."""
        key = node, tuple(_type(value).SerializeToString() for value in inputs)
        if key not in self._known:
            body = function_body(node, inputs)
            self._known[key] = None if body is None else self._builder.function(body, node.proto, node.scope)
        return self._known[key]


def function_body(node: Node, inputs: Sequence[Value]) -> FunctionProto | None:
    """The function that defines the node's operator in its operator set; `None` if there is none.

    Some functions depend on the types of the inputs. They are told float64, which is what flows here.
    """
    try:
        schema: Any = defs.get_schema(node.proto.op_type, node.version, own_name(node.proto.domain))
    except defs.SchemaError:
        return None
    version = _latest(schema.function_opset_versions, node.version)
    if version is not None:
        body: FunctionProto = FunctionProto.FromString(schema.get_function_with_opset_version(version))
        defaults = (attribute.default_value for attribute in schema.attributes.values())
        body.attribute_proto.extend(value for value in defaults if value.type)
        return body
    version = _latest(schema.context_dependent_function_opset_versions, node.version)
    if version is None:
        return None
    types = [_type(value) for value in inputs]
    serialized = schema.get_context_dependent_function_with_opset_version(
        version, node.proto.SerializeToString(), [kind.SerializeToString() for kind in types]
    )
    dependent: FunctionProto = FunctionProto.FromString(serialized)
    return dependent


def _latest(versions: Sequence[int], limit: int) -> int | None:
    return max((version for version in versions if version <= limit), default=None)


def _type(value: Value) -> TypeProto:
    if value is None:
        return TypeProto()
    if isinstance(value, list):
        return onnx.helper.make_sequence_type_proto(_type(value[0] if value else np.zeros(0)))
    tensor = tensor_like(value)
    name = str(tensor.dtype).removeprefix("torch.")  # without a copy from the GPU
    dtype = np.dtype(name) if isinstance(tensor, torch.Tensor) else tensor.dtype
    return onnx.helper.make_tensor_type_proto(onnx.helper.np_dtype_to_tensor_dtype(dtype), tensor.shape)
