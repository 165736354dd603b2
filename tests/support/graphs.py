"""Small ONNX models for tests, written in one line each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import (
    FunctionProto,
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    ValueInfoProto,
    helper,
    numpy_helper,
)

Array = np.ndarray[Any, Any]


def node(op: str, inputs: str, outputs: str, **attributes: Any) -> NodeProto:
    """A node; names are separated by spaces, ``-`` is an omitted one; ``op`` may be ``domain:Op``."""
    domain, _, op_type = op.rpartition(":")
    names = [["" if name == "-" else name for name in text.split()] for text in (inputs, outputs)]
    name = attributes.pop("node_name", f"{op_type}:{outputs.split(maxsplit=1)[0]}")
    return helper.make_node(op_type, *names, name=name, domain=domain, **attributes)


def value(
    name: str, dtype: int = TensorProto.FLOAT, shape: Sequence[int | str] | None = None
) -> ValueInfoProto:
    """A declared input or output."""
    return helper.make_tensor_value_info(name, dtype, shape)


def graph(
    nodes: Sequence[NodeProto],
    inputs: Sequence[ValueInfoProto | str] = (),
    outputs: Sequence[ValueInfoProto | str] = (),
    initializers: Mapping[str, Array] | None = None,
) -> GraphProto:
    """A graph; a bare name is a float32 tensor."""
    ends = [[value(v) if isinstance(v, str) else v for v in side] for side in (inputs, outputs)]
    constants = [numpy_helper.from_array(np.asarray(a), name) for name, a in (initializers or {}).items()]
    return helper.make_graph(list(nodes), "test", *ends, initializer=constants)


def model(*args: Any, opset: int = 20, functions: Sequence[FunctionProto] = (), **kwargs: Any) -> ModelProto:
    """A model of one `graph`, whose arguments it takes; domains of its nodes are imported."""
    body = args[0] if args and isinstance(args[0], GraphProto) else graph(*args, **kwargs)
    domains = {n.domain for n in body.node if n.domain} | {f.domain for f in functions}
    imports = [
        helper.make_opsetid("", opset),
        *(helper.make_opsetid(domain, 1) for domain in sorted(domains)),
    ]
    return helper.make_model(body, opset_imports=imports, functions=list(functions), ir_version=10)


def one(
    op: str, inputs: Sequence[Array | None], outputs: int = 1, opset: int = 20, **attributes: Any
) -> ModelProto:
    """A model of one node with inputs ``i0 i1 ...`` of the given arrays' types, and outputs ``o0 o1 ...``."""
    names = [f"i{k}" if array is not None else "-" for k, array in enumerate(inputs)]
    given = [
        value(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in zip(names, inputs, strict=True)
        if array is not None
    ]
    results = [f"o{k}" for k in range(outputs)]
    body = node(op, " ".join(names), " ".join(results), **attributes)
    return model([body], given, [onnx.ValueInfoProto(name=name) for name in results], opset=opset)


def feeds(inputs: Sequence[Array | None]) -> dict[str, Array]:
    """The inputs of `one` by name."""
    return {f"i{k}": array for k, array in enumerate(inputs) if array is not None}
