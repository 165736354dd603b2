"""Which tensor of a quantized file loses most, against the float file that it was made from.

A pair of QuantizeLinear and DequantizeLinear stands for a tensor: what it leaves of it is known from the
traces. The pair that leaves least is taken out, and counts as the cause by the share of the error that goes.

ONNX Runtime's quantizer drops a Relu before a pair whose zero point cuts off what is negative. So what comes
out may also be the reference's tensor of that name, and taking the pair out brings the Relu back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import inf, log10

from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from parity.diagnosis.onnx64.constants import graphs
from parity.diagnosis.tracing import Sketch, Trace
from parity.records.diagnosis import Cause

from .conversion import QUANTIZING
from .explaining import EXPLAINS, Explained, Explanation
from .finding import Spot
from .subject import Subject, vanished

_SUFFIX = "_DequantizeLinear_Output"  # ONNX Runtime's quantizer names what stands for a tensor so


@dataclass(frozen=True)
class Pair:
    """A DequantizeLinear of the candidate, and the tensor that it stands for.

    Args:
        node: the DequantizeLinear.
        stands_for: name of the tensor, in the candidate or, with `constant`, in the reference.
        constant: the reference's weight.
        rectified: the reference has a Relu here, which the candidate leaves to the zero point.
        left: signal to noise of what comes out, in dB.
        expected: what should have come out.
    """

    node: NodeProto
    stands_for: str
    constant: TensorProto | None
    rectified: bool
    left: float
    expected: Sketch


def is_quantized(model: ModelProto) -> bool:
    """Whether a node of a model quantizes or computes in integers that stand for floats."""
    return any(node.op_type in QUANTIZING for graph in graphs(model.graph) for node in graph.node)


def worst_pair(subject: Subject, reference: ModelProto) -> Explained:
    """The pair that leaves least, for the outputs of whose error it explains more than half.

    Raises:
        Unable: the graph can't be evaluated without it.
    """
    worst = min(_pairs(subject, reference), key=lambda pair: pair.left, default=None)
    if worst is None:
        return {}
    errors, _ = subject.evaluate(without(subject.model, worst))
    shares = {name: vanished(error, errors[name]) for name, error in subject.errors.items()}
    return {
        name: Explanation(_spot(worst), (_cause(subject.model, worst, share),))
        for name, share in shares.items()
        if share >= EXPLAINS
    }


def without(model: ModelProto, pair: Pair) -> ModelProto:
    """A copy in which the tensor itself is taken where the pair's result was."""
    copy = ModelProto()
    copy.CopyFrom(model)
    gone, name = pair.node.output[0], pair.stands_for
    if pair.constant is not None:
        name = f"{pair.stands_for}_in_float"
        copy.graph.initializer.append(pair.constant)
        copy.graph.initializer[-1].name = name
    if pair.rectified:
        name = f"{pair.stands_for}_rectified"
        place = next(at for at, node in enumerate(copy.graph.node) if pair.stands_for in node.output)
        copy.graph.node.insert(place + 1, helper.make_node("Relu", [pair.stands_for], [name]))
    for node in copy.graph.node:
        for place, given in enumerate(node.input):
            if given == gone:
                node.input[place] = name
    return copy


def _pairs(subject: Subject, reference: ModelProto) -> Iterator[Pair]:
    """Of the main graph, but for those whose result is an output of the graph."""
    graph, right = subject.graph_trace, subject.module_trace
    weights = {tensor.name: tensor for tensor in reference.graph.initializer}
    made = {name: node for node in subject.model.graph.node for name in node.output}
    ends = {value.name for value in subject.model.graph.output}
    for node in subject.model.graph.node:
        if node.op_type != "DequantizeLinear" or node.output[0] in ends:
            continue
        quantizer = made.get(node.input[0])
        own = node.output[0].removesuffix(_SUFFIX)
        if quantizer is not None and quantizer.op_type == "QuantizeLinear":
            name, constant = quantizer.input[0], None
        elif own in weights:
            name, constant = own, weights[own]
        else:
            continue
        found = _sketch(graph, node.output[0])
        wanted = [_sketch(trace, name) for trace in (graph, right)]
        ranked = sorted(
            (found.rms_distance(sketch), place)
            for place, sketch in enumerate(wanted)
            if found is not None and sketch is not None and sketch.shape == found.shape
        )
        if ranked:
            distance, place = ranked[0]
            expected = wanted[place]
            assert expected is not None
            rectified = constant is None and _relus(right, name) and not _relus(graph, name)
            yield Pair(node, name, constant, rectified, _decibels(distance), expected)


def _sketch(trace: Trace, name: str) -> Sketch | None:
    tensor = trace.by_name.get(name)
    return tensor.sketch if tensor else None


def _relus(trace: Trace, name: str) -> bool:
    """Whether a Relu gives a tensor."""
    tensor = trace.by_name.get(name)
    producer = trace.producer(tensor.index) if tensor else None
    return producer is not None and producer.op_type == "Relu"


def _decibels(distance: float) -> float:
    return inf if distance <= 0.0 else -20.0 * log10(distance)


def _spot(pair: Pair) -> Spot:
    return Spot(pair.node.name or pair.node.output[0], pair.node.op_type, pair.node.output[0], pair.expected)


def _cause(model: ModelProto, worst: Pair, share: float) -> Cause:
    values = {tensor.name: tensor for tensor in model.graph.initializer}
    what = f"quantizing {worst.stands_for!r} ({_described(worst.node, values)})"
    return Cause(
        kind="precision",
        leg="export",
        message=f"{what} leaves {worst.left:.3g} dB of it",
        remedy="calibrate this tensor again, on inputs like these, or leave it in float",
        share=share,
        node=worst.node.name or worst.node.output[0],
        tensor=worst.stands_for,
    )


def _described(node: NodeProto, values: Mapping[str, TensorProto]) -> str:
    """``scale 0.0157, zero point 3``; of one for each channel, their range."""
    told = []
    for name, what in zip(node.input[1:], ("scale", "zero point"), strict=False):
        if name not in values:
            continue
        array = numpy_helper.to_array(values[name])
        least, most = f"{float(array.min()):.3g}", f"{float(array.max()):.3g}"
        told.append(f"{what} {least}" if least == most else f"{what}s {least} to {most}")
    return ", ".join(told) or node.op_type
