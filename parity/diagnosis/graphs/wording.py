"""What kind of change it is, and the sentence that tells it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import AttributeProto, NodeProto, TensorProto

from parity.artifacts import Array
from parity.diagnosis.graphs.constants import floating, shown
from parity.diagnosis.graphs.findings import Kind
from parity.diagnosis.graphs.hashing import plain
from parity.diagnosis.graphs.view import View, attribute, label
from parity.diagnosis.initializers.describing import describe
from parity.diagnosis.onnx64.program import own_name

# Inputs that hold what a layer has learned, whatever their size.
_WEIGHTS: Mapping[str, frozenset[int]] = {
    **dict.fromkeys(("Conv", "ConvTranspose", "DeformConv"), frozenset({1, 2, 3})),
    **dict.fromkeys(("LSTM", "GRU", "RNN"), frozenset({1, 2, 3, 7})),
    **dict.fromkeys(("LayerNormalization", "InstanceNormalization", "GroupNormalization"), frozenset({1, 2})),
    "RMSNormalization": frozenset({1}),
    "BatchNormalization": frozenset({1, 2, 3, 4}),
    "Gemm": frozenset({0, 1, 2}),
    "MatMul": frozenset({0, 1}),
    "PRelu": frozenset({1}),
    "Gather": frozenset({0}),
}
_GATES = {"LSTM": 4, "GRU": 3}
_NARROW = {
    TensorProto.FLOAT16,
    TensorProto.BFLOAT16,
    TensorProto.INT8,
    TensorProto.UINT8,
    TensorProto.INT16,
    TensorProto.INT32,
    TensorProto.INT64,
}
_CASTS = {"Cast", "CastLike", "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"}
_MASKED = -1e4  # at most this much: a number that stands for "never"


@dataclass(frozen=True)
class Operand:
    """An input of two nodes that stand for each other, and its place in each."""

    left: NodeProto
    right: NodeProto
    slot: int  # in the file
    fresh_slot: int


@dataclass(frozen=True)
class Verdict:
    """What an altered constant is called."""

    kind: Kind
    node: NodeProto | None
    message: str
    counterpart: NodeProto | None


def judge_constant(
    fresh: View, operand: Operand | None, tensors: tuple[str, str], values: tuple[Array, Array]
) -> Verdict:
    """The kind and the message of a constant that differs.

    Args:
        fresh: the fresh export.
        operand: of the computed node that takes it; None for an output of the graph.
        tensors: its name in the file and in the fresh export.
        values: what it is, and what it should be.
    """
    found, expected = values
    left, right = (operand.left, operand.right) if operand else (None, None)
    if not floating(expected) or not floating(found) or found.dtype != expected.dtype:
        is_initializer = left is not None and operand is not None and _quantized(left, operand.slot)
    else:
        learned = operand is not None and is_weight(operand.left, operand.slot)
        is_initializer = learned or not _is_parameter(fresh, tensors[1], found, expected)
    nan = floating(found) and bool(np.isnan(found).any()) and not np.isnan(expected).any()
    if is_initializer or nan:
        gates = _GATES.get(left.op_type, 0) if left is not None else 0
        described = describe(found, expected, gates=gates)
        # A constant lies on every grid: it was not rounded, it was set.
        is_set = found.size > 1 and bool(np.all(found == found.flat[0]))
        if is_set and not nan:
            message = f"is {shown(found.flat[0])} everywhere, {shown(expected)} in a fresh export"
            return Verdict("initializer", left, f"{tensors[0]} {message}", right)
        kind: Kind = "nan" if nan else "initializer" if described.kind == "nan" else described.kind
        return Verdict(kind, left, f"{tensors[0]} {described.message}", right)
    name = slot_name(left, operand.slot, fresh.opsets) if left is not None and operand else tensors[0]
    if floating(found) and min(found.min(initial=0), expected.min(initial=0)) <= _MASKED:
        name = "the mask"
    one, other = shown(found), shown(expected)
    if one == other:
        one, other = (
            f"{each.dtype}{list(each.shape)} {text}" for each, text in ((found, one), (expected, other))
        )
    return Verdict("attribute", left, f"{name} is {one} in the file, {other} in a fresh export", right)


def _is_parameter(fresh: View, name: str, found: Array, expected: Array) -> bool:
    """Whether a float constant is a parameter of an operator rather than learned: a number, or a mask."""
    if expected.size == 1:
        # TorchScript and dynamo name what comes from the module as the module does: head.bias.
        return not (name in fresh.initializers and expected.ndim > 0 and "." in name)
    return bool(min(np.nanmin(found, initial=0), np.nanmin(expected, initial=0)) <= _MASKED)


def is_weight(node: NodeProto, slot: int) -> bool:
    """Whether an input of an operator holds what a layer has learned."""
    return own_name(node.domain) == "" and slot in _WEIGHTS.get(node.op_type, frozenset())


def _quantized(node: NodeProto, slot: int) -> bool:
    integer = node.op_type in (
        "ConvInteger",
        "MatMulInteger",
        "QLinearConv",
        "QLinearMatMul",
        "DequantizeLinear",
    )
    return (integer and slot > 0) or node.op_type == "DequantizeLinear"


def slot_name(node: NodeProto, slot: int, opsets: Mapping[str, int]) -> str:
    """What the operator's schema calls an input: ``min`` of Clip, ``starts`` of Slice."""
    domain = own_name(node.domain)
    try:
        inputs = onnx.defs.get_schema(node.op_type, opsets.get(domain, 1), domain).inputs
    except onnx.defs.SchemaError:
        return f"input {slot}"
    name = inputs[min(slot, len(inputs) - 1)].name if inputs else ""
    if (node.op_type in ("Conv", "ConvTranspose", "Gemm") and slot == 2) or (name == "B" and slot == 3):
        return "bias"
    return "the constant" if len(name) < 2 or name.startswith(("data", "input")) else name


def attribute_message(name: str, found: AttributeProto | None, expected: AttributeProto | None) -> str:
    """`epsilon is 0.002 in the file, 0.001 in a fresh export`."""
    kinds = {each.type for each in (found, expected) if each is not None}
    if kinds & {AttributeProto.GRAPH, AttributeProto.GRAPHS}:
        return f"its {name} computes something else than in a fresh export"
    return f"{name} is {_text(name, found)} in the file, {_text(name, expected)} in a fresh export"


def _text(name: str, each: AttributeProto | None) -> str:
    if each is None:
        return "not set"
    if name == "to" and each.type == AttributeProto.INT:
        return str(TensorProto.DataType.Name(each.i)).lower()
    value = plain(each)
    return value.decode(errors="replace") if isinstance(value, bytes) else shown(value)


def missing_message(nodes: Sequence[NodeProto], source: NodeProto | None, taker: NodeProto | None) -> str:
    """`Relu between /a/Conv and /b/Conv is missing`. The nodes are the fresh export's, upper first."""
    kinds = ", ".join(node.op_type for node in nodes)
    verb = "is" if len(nodes) == 1 else "are"
    begin, end = (label(node) if node is not None else None for node in (source, taker))
    if begin and end:
        return f"{kinds} between {begin} and {end} {verb} missing"
    return f"{kinds} {f'before {end}' if end else f'behind {begin}' if begin else 'there'} {verb} missing"


def narrowing(node: NodeProto) -> bool:
    """Whether a node is there to compute in another precision."""
    to = attribute(node, "to", 0)
    return node.op_type in _CASTS and (to == 0 or to in _NARROW or to == TensorProto.FLOAT)
