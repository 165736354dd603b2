"""Every other operator, through the implementations of `onnx.reference`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import torch
from onnx import AttributeProto, NodeProto, TensorProto

from parity.diagnosis.onnx64.program import own_name
from parity.diagnosis.onnx64.values import RAISED, CannotEvaluate, Value, as_array, hold

# Attributes that name an element type; in float64 evaluation each float type means float64.
_DTYPE_ATTRIBUTES = frozenset(["dtype", "output_datatype", "softmax_precision", "stash_type", "precision"])


def run_reference(
    node: NodeProto, version: int, inputs: Sequence[Value], device: torch.device
) -> tuple[Value, ...]:
    """The outputs of one node without subgraphs, computed on NumPy.

    Args:
        node: all its attributes are values.
        version: of the operator set of its domain.
        inputs: none of them unknown; where an optional one is missing, `None`.
        device: where floats of the outputs go.

    Raises:
        CannotEvaluate: there is no such operator.
        Exception: whatever the implementation raises.
    """
    from onnx.reference import ReferenceEvaluator

    raised = _raised(node)
    raised.domain = own_name(node.domain)
    # As a model of one node, so that the implementation for this very operator set is chosen.
    names = [f"in{index}" if value is not None else "" for index, value in enumerate(inputs)]
    outputs = [f"out{index}" if name else "" for index, name in enumerate(node.output)]
    del raised.input[:], raised.output[:]
    raised.input.extend(names)
    raised.output.extend(outputs)
    wanted = [name for name in outputs if name]
    graph = onnx.helper.make_graph(
        [raised],
        "one",
        [onnx.ValueInfoProto(name=name) for name in names if name],
        [onnx.ValueInfoProto(name=name) for name in wanted],
    )
    opsets = [onnx.helper.make_opsetid(raised.domain, version)]
    if raised.domain:
        opsets.append(onnx.helper.make_opsetid("", onnx.defs.onnx_opset_version()))
    model = onnx.helper.make_model(graph, opset_imports=opsets)
    try:
        evaluator = ReferenceEvaluator(model)
    except NotImplementedError as error:
        raise CannotEvaluate("there is no implementation of this operator") from error
    feeds = {name: _plain(value) for name, value in zip(names, inputs, strict=True) if name}
    with np.errstate(all="ignore"):
        results = dict(zip(wanted, evaluator.run(wanted, feeds), strict=True))
    return tuple(hold(results[name], device) if name else None for name in outputs)


def _raised(node: NodeProto) -> NodeProto:
    raised = NodeProto()
    raised.CopyFrom(node)
    for attribute in raised.attribute:
        if (
            attribute.type == AttributeProto.INT
            and attribute.name in _DTYPE_ATTRIBUTES
            and attribute.i in RAISED
        ):
            attribute.i = TensorProto.DOUBLE
    return raised


def _plain(value: Value) -> Any:
    """As the reference implementations take it."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return None if value is None else as_array(value)  # type: ignore[arg-type]
