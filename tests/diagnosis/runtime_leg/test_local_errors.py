"""Node by node: what a kernel loses is found and named, and what a network inherits is nobody's fault."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from support.architectures import ARCHITECTURES, Exporter, build, exported
from support.runtime import DefectiveBackend, diagnosed_runtime, rounds_operands, scales, sound_backend

from parity.artifacts import Array
from parity.records.outcomes import RuntimeFinding
from parity.worker.candidate_diagnosis import OrtBackend

FLOAT = TensorProto.FLOAT


def examined(
    name: str, backend: OrtBackend, folder: Path, exporter: Exporter = "torchscript", scale: float = 1.0
) -> dict[str, RuntimeFinding]:
    model = exported(name, exporter)
    inputs = [t * scale if t.is_floating_point() else t for t in build(name).example_inputs(1)]
    feeds = {value.name: t.numpy() for value, t in zip(model.graph.input, inputs, strict=True)}
    return diagnosed_runtime(model, feeds, backend, folder)


def graph(nodes: Sequence[NodeProto], shape: Sequence[int], **initializers: Array) -> ModelProto:
    """From `x` to `y`, both float32."""
    held = [numpy_helper.from_array(array, name) for name, array in initializers.items()]
    ends = [
        [helper.make_tensor_value_info("x", FLOAT, shape)],
        [helper.make_tensor_value_info("y", FLOAT, None)],
    ]
    made = helper.make_graph(nodes, "graph", *ends, held)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def normal(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


SOUND: list[tuple[str, Exporter]] = [(name, "torchscript") for name in ARCHITECTURES]


@pytest.mark.parametrize(("name", "exporter"), [*SOUND, ("resnet", "dynamo")])
def test_a_sound_model_has_rounding_and_nothing_else(name: str, exporter: Exporter, tmp_path: Path) -> None:
    for scale in (1.0, 255.0):
        for finding in examined(name, sound_backend(tmp_path), tmp_path, exporter, scale).values():
            assert {cause.kind for cause in finding.causes} <= {"rounding"}
            assert finding.first_divergence is None
            assert finding.notes == ()


def test_a_hundred_noisy_layers_are_sound(tmp_path: Path) -> None:
    nodes, weights = [], {}
    for layer in range(100):
        source, target = f"h{layer}" if layer else "x", f"h{layer + 1}" if layer < 99 else "y"
        weights[f"w{layer}"] = normal(32, 32, seed=layer) * np.float32(0.25)
        nodes += [
            helper.make_node("MatMul", [source, f"w{layer}"], [f"p{layer}"]),
            helper.make_node("Relu", [f"p{layer}"], [target]),
        ]
    feeds = {"x": normal(4, 32, seed=1000) * np.float32(255)}
    found = diagnosed_runtime(graph(nodes, [4, 32], **weights), feeds, sound_backend(tmp_path), tmp_path)
    (cause,) = found["y"].causes
    assert cause.kind == "rounding"
    assert cause.share is None
    assert found["y"].first_divergence is None


@pytest.mark.parametrize("name", ["resnet", "vit"])
def test_tf32_is_named_with_its_share(name: str, tmp_path: Path) -> None:
    backend = DefectiveBackend(rounds_operands("tf32"), tmp_path)
    finding = examined(name, backend, tmp_path)["logits"]
    (cause,) = finding.causes
    assert (cause.kind, cause.leg) == ("tf32", "runtime")
    assert cause.share is not None
    assert cause.share >= 0.95
    assert "tf32: false" in cause.remedy
    first = next(node for node in exported(name, "torchscript").graph.node if node.op_type == "Conv")
    assert finding.first_divergence is not None
    assert finding.first_divergence.node == cause.node == first.name
    bits = finding.first_divergence.effective_bits
    assert bits is not None
    assert 10 <= bits <= 14


@pytest.mark.parametrize(("form", "bits"), [("float16", (9.5, 14)), ("bfloat16", (7, 11))])
def test_other_formats_are_told_apart(form: str, bits: tuple[float, float], tmp_path: Path) -> None:
    backend = DefectiveBackend(rounds_operands(form), tmp_path)
    finding = examined("resnet", backend, tmp_path)["logits"]
    (cause,) = finding.causes
    assert cause.kind == "precision"
    assert f"rounded to {form};" in cause.message
    assert cause.share is not None
    assert cause.share >= 0.95
    assert finding.first_divergence is not None
    kept = finding.first_divergence.effective_bits
    assert kept is not None
    assert bits[0] <= kept <= bits[1]


@pytest.mark.parametrize(
    ("name", "node"),
    [
        ("resnet", "/layer1/layer1.1/conv1/Conv"),
        ("resnet", "/layer1/layer1.1/relu/Relu"),
        ("bert", "/layers.0/attention_norm/LayerNormalization"),
        ("vit", "/blocks/blocks.0/mlp/mlp.0/Add"),
        ("decoder", "/layers.0/self_attn/o_proj/MatMul"),
    ],
)
def test_one_node_that_is_off_is_named(name: str, node: str, tmp_path: Path) -> None:
    (proto,) = (one for one in exported(name, "torchscript").graph.node if one.name == node)
    backend = DefectiveBackend(scales(proto.output[0], 1.001), tmp_path)
    for finding in examined(name, backend, tmp_path).values():
        assert finding.first_divergence is not None
        assert finding.first_divergence.node == node
        assert finding.first_divergence.op_type == proto.op_type
        (cause,) = finding.causes
        assert (cause.kind, cause.node) == ("unknown", node)
        assert cause.share is not None
        assert cause.share > 0.99


def test_a_node_that_is_off_without_effect_is_not_blamed(tmp_path: Path) -> None:
    model = exported("unet", "torchscript")
    # An instance norm follows, which takes every scale away.
    (node,) = (one for one in model.graph.node if one.name == "/dec2/conv/Conv")
    backend = DefectiveBackend(scales(node.output[0], 1.001), tmp_path)
    finding = examined("unet", backend, tmp_path)["fine"]
    assert [cause.kind for cause in finding.causes] == ["rounding"]
    assert finding.first_divergence is None
    assert any(node.name in note for note in finding.notes)


def test_an_ill_conditioned_node_is_not_off(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("LayerNormalization", ["x", "scale"], ["n"]),
        helper.make_node("Mul", ["n", "large"], ["m"]),
        helper.make_node("Sin", ["m"], ["y"]),
    ]
    model = graph(nodes, [4, 64], scale=np.ones(64, np.float32), large=np.float32(1e4))
    found = diagnosed_runtime(model, {"x": normal(4, 64) + 1e4}, sound_backend(tmp_path), tmp_path)
    assert found["y"].first_divergence is None


def test_overflow_is_traced_to_the_node_that_overflows(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Mul", ["x", "x"], ["square"], name="square"),
        helper.make_node("Sub", ["square", "square"], ["zero"], name="zero"),
        helper.make_node("Add", ["zero", "x"], ["y"], name="end"),
    ]
    x = np.array([1.0, 1e30], np.float32)
    found = diagnosed_runtime(graph(nodes, [2]), {"x": x}, sound_backend(tmp_path), tmp_path)
    (cause,) = found["y"].causes
    assert (cause.kind, cause.node) == ("nan", "square")
    assert "reaches 1e+60, float32 ends at 3.403e+38; input 'x' reaches 1e+30" in cause.message
    assert found["y"].first_divergence is not None
    assert found["y"].first_divergence.node == "square"


def test_random_numbers_are_named_from_the_file(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("RandomNormalLike", ["x"], ["noise"], name="noise"),
        helper.make_node("Add", ["x", "noise"], ["y"]),
    ]
    found = diagnosed_runtime(graph(nodes, [4]), {"x": normal(4)}, sound_backend(tmp_path), tmp_path)
    (cause,) = found["y"].causes
    assert (cause.kind, cause.node) == ("nondeterminism", "noise")
    assert any("random" in note for note in found["y"].notes)


def test_nodes_in_branches_are_looked_at(tmp_path: Path) -> None:
    branch = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["inner"], name="inside")],
        "branch",
        [],
        [helper.make_tensor_value_info("inner", FLOAT, None)],
    )
    nodes = [helper.make_node("If", ["yes"], ["y"], name="if", then_branch=branch, else_branch=branch)]
    model = graph(nodes, [4, 8], w=normal(8, 8, seed=1), yes=np.bool_(True))

    def rounds_inside(altered: ModelProto) -> None:
        for node in altered.graph.node:
            for attribute in node.attribute:
                if attribute.name in ("then_branch", "else_branch"):
                    _round_weight(attribute.g.node, altered)
        if any(node.op_type == "MatMul" for node in altered.graph.node):
            rounds_operands("tf32")(altered)

    def _round_weight(inner: Sequence[NodeProto], altered: ModelProto) -> None:
        wrapper = ModelProto(opset_import=altered.opset_import)
        wrapper.graph.node.extend(inner)
        rounds_operands("tf32")(wrapper)
        del inner[:]  # type: ignore[attr-defined]
        inner.extend(wrapper.graph.node)  # type: ignore[attr-defined]
        if not altered.functions:
            altered.functions.extend(wrapper.functions)
            altered.opset_import.append(wrapper.opset_import[-1])

    backend = DefectiveBackend(rounds_inside, tmp_path)
    finding = diagnosed_runtime(model, {"x": normal(4, 8)}, backend, tmp_path)["y"]
    assert [cause.kind for cause in finding.causes] == ["tf32"]
    assert finding.first_divergence is not None
    assert finding.first_divergence.node == "if/inside"
