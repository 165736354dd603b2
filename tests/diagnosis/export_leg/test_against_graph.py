"""ONNX against ONNX: what differs between two files, and which tensor a quantized one loses most of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from support.export_leg import IMAGE, small

from parity.diagnosis.budget import difference
from parity.diagnosis.export_leg import NO_MODULE, ExportFinding, Subject, diagnose_against_graph
from parity.diagnosis.onnx64 import Graph64
from parity.diagnosis.tracing import trace_graph


def copied(model: ModelProto) -> ModelProto:
    copy = ModelProto()
    copy.CopyFrom(model)
    return copy


def found_between(reference: ModelProto, candidate: ModelProto, folder: Path) -> tuple[ExportFinding, str]:
    """The finding, and the name of the one output."""
    path = folder / "candidate.onnx"
    onnx.save(candidate, path)
    graph, right = Graph64(str(path)), Graph64(reference)
    feeds = dict(zip(graph.inputs, (x.numpy() for x in IMAGE), strict=True))
    ours, trace = trace_graph(graph, feeds)
    theirs, right_trace = trace_graph(right, dict(zip(right.inputs, feeds.values(), strict=True)))
    (name,) = ours.outputs
    (own,) = theirs.outputs
    one, other = theirs.outputs[own], ours.outputs[name]
    assert isinstance(one, np.ndarray)
    assert isinstance(other, np.ndarray)
    subject = Subject(
        module=NO_MODULE,
        arguments=lambda: ((), {}),
        path=str(path),
        device="cpu",
        feeds=feeds,
        reference64={name: one},
        errors={name: difference(one, other).greatest},
        module_trace=replace(right_trace, outputs={name: right_trace.outputs[own]}),
        graph_trace=trace,
        noise={name: 1e-7},
        output_names=None,
        scratch=str(folder),
    )
    return diagnose_against_graph(subject, reference), name


@pytest.mark.parametrize("exporter", ["torchscript", "dynamo"])
def test_a_changed_attribute_is_named_with_both_values(tmp_path: Path, exporter: str) -> None:
    changed = copied(small(exporter))
    node = next(each for each in changed.graph.node if each.op_type == "BatchNormalization")
    epsilon = next(attribute for attribute in node.attribute if attribute.name == "epsilon")
    epsilon.f = 0.1

    found, name = found_between(small(exporter), changed, tmp_path)

    (cause,) = found.causes[name]
    assert (cause.kind, cause.node) == ("attribute", node.name)
    assert cause.share is not None
    assert cause.share > 0.99
    assert "0.1 in the file" in cause.message
    assert "in the reference's file" in cause.message
    assert "fresh export" not in cause.message + cause.remedy
    assert found.divergences[name].op_type == "BatchNormalization"
    assert found.notes == ()


def test_another_graph_throughout_has_a_place(tmp_path: Path) -> None:
    """The two exporters write other graphs; the one with a fault is compared with the other's."""
    changed = copied(small("torchscript"))
    node = next(each for each in changed.graph.node if each.op_type == "Tanh")
    node.op_type = "Softsign"

    found, name = found_between(small("dynamo"), changed, tmp_path)

    assert found.divergences[name].node == node.name
    assert found.causes[name][0].node == node.name


def test_a_file_in_float16_says_so(tmp_path: Path) -> None:
    narrow = copied(small("torchscript"))
    for tensor in narrow.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            tensor.CopyFrom(
                numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), tensor.name)
            )
    for value in (*narrow.graph.input, *narrow.graph.output):
        value.type.tensor_type.elem_type = TensorProto.FLOAT16

    found, name = found_between(small("torchscript"), narrow, tmp_path)

    (cause,) = found.causes[name]
    assert (cause.kind, cause.share) == ("precision", None)
    assert cause.message == "the candidate's file computes in float16, the reference's in float32"


class Images(CalibrationDataReader):
    def __init__(self, name: str) -> None:
        generator = np.random.default_rng(1)
        self._left = [{name: generator.standard_normal((2, 3, 8, 8), np.float32)} for _ in range(16)]

    def get_next(self) -> dict[str, np.ndarray] | None:
        return self._left.pop() if self._left else None


def quantized(folder: Path) -> ModelProto:
    model = small("torchscript")
    onnx.save(model, folder / "float.onnx")
    quantize_static(
        str(folder / "float.onnx"),
        str(folder / "int8.onnx"),
        Images(model.graph.input[0].name),
        quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QInt8,
        weight_type=QuantType.QInt8,
    )
    return onnx.load(folder / "int8.onnx")


def scaled(model: ModelProto, name: str, factor: float) -> ModelProto:
    """A copy whose scale of a tensor is another."""
    copy = copied(model)
    (scale,) = (each for each in copy.graph.initializer if each.name == f"{name}_scale")
    scale.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(scale) * np.float32(factor), scale.name))
    return copy


def after(model: ModelProto, op_type: str) -> str:
    """What the first node of this operator gives."""
    return str(next(node for node in model.graph.node if node.op_type == op_type).output[0])


@pytest.mark.parametrize("where", ["Relu", "ReduceMean", "weight"])
@pytest.mark.parametrize("factor", [1 / 16, 32])
def test_a_wrong_scale_is_named(tmp_path: Path, where: str, factor: float) -> None:
    reference = small("torchscript")
    name = "conv.weight" if where == "weight" else after(reference, where)
    if where == "Relu":
        assert "Relu" not in {
            node.op_type for node in quantized(tmp_path).graph.node
        }  # the scale stands for it

    found, output = found_between(reference, scaled(quantized(tmp_path), name, factor), tmp_path)

    (cause,) = found.causes[output]
    assert (cause.kind, cause.tensor) == ("precision", name)
    assert cause.share is not None
    assert cause.share > 0.5
    assert f"quantizing {name!r} (scale " in cause.message
    assert found.divergences[output].output.startswith(name)


def test_a_sound_quantized_file_has_no_tensor_to_blame(tmp_path: Path) -> None:
    found, output = found_between(small("torchscript"), quantized(tmp_path), tmp_path)
    (cause,) = found.causes[output]
    assert cause.message == "the candidate's file is quantized, the reference's is not"
