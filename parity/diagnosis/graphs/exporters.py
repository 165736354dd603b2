"""Which exporter made an ONNX file, and what it was asked for: read off the file."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from onnx import ModelProto

from parity.diagnosis.onnx64.constants import graphs
from parity.diagnosis.onnx64.program import own_name

_METADATA = ("pkg.torch.", "pkg.onnxscript.")
# Names that the exporters give: /layer1/conv/Conv and onnx::MatMul_12, node_conv2d_3 and val_7.
_TORCHSCRIPT = re.compile(r"/.*[^/]$|onnx::\w+_\d+$|[A-Z]\w*_\d+$")
_DYNAMO = re.compile(r"(node_|n\d+$|val_\d+$|_to_copy)")
_CLEARLY = 2.0


def likely_exporters(model: ModelProto) -> tuple[str, ...]:
    """The exporter that made a file, of `parity.registry.EXPORTERS`; both, likelier first, if in doubt.

    The dynamo exporter leaves metadata on nodes. Where a simplifier has removed them, the names that are left
    are counted.
    """
    if any(name.startswith(_METADATA) for name in _metadata(model)):
        return ("dynamo",)
    names = [name for node in model.graph.node for name in (node.name, *node.input) if name]
    torchscript = sum(bool(_TORCHSCRIPT.match(name)) for name in names)
    dynamo = sum(bool(_DYNAMO.match(name)) for name in names)
    if torchscript > _CLEARLY * dynamo:
        return ("torchscript",)
    if dynamo > _CLEARLY * torchscript:
        return ("dynamo",)
    return ("torchscript", "dynamo") if torchscript >= dynamo else ("dynamo", "torchscript")


def _metadata(model: ModelProto) -> Iterator[str]:
    holders = [model, model.graph, *model.graph.node, *model.graph.input, *model.graph.value_info]
    return (each.key for holder in holders for each in holder.metadata_props)


def standard_opset(model: ModelProto) -> int | None:
    """The version of ONNX's own operators."""
    return next((each.version for each in model.opset_import if own_name(each.domain) == ""), None)


def input_names(model: ModelProto) -> tuple[str, ...]:
    """The graph's inputs that have no initializer."""
    stored = {tensor.name for tensor in model.graph.initializer}
    return tuple(each.name for each in model.graph.input if each.name not in stored)


def dynamic_axes(model: ModelProto) -> dict[str, dict[int, str]]:
    """Input name -> axis -> name of the dimension, for the dimensions that have one."""
    found: dict[str, dict[int, str]] = {}
    for each in model.graph.input:
        for axis, dim in enumerate(each.type.tensor_type.shape.dim):
            if dim.dim_param:
                found.setdefault(each.name, {})[axis] = dim.dim_param
    return found


def distance(one: ModelProto, other: ModelProto) -> int:
    """How many operators two models do not have in common, whatever their order."""
    left, right = _operators(one), _operators(other)
    return (left - right).total() + (right - left).total()


def left_out(model: ModelProto, like: ModelProto) -> int:
    """How many operators `like` has and the model has not, such as batch norms that were folded in it."""
    return (_operators(like) - _operators(model)).total()


def _operators(model: ModelProto) -> Counter[str]:
    # How constants are stored says nothing on what is computed.
    return Counter(
        node.op_type
        for graph in graphs(model.graph)
        for node in graph.node
        if node.op_type not in ("Constant", "Identity")
    )
