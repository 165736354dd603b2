"""Files with one planted fault, or none, beside a fresh export: what is named, and whether mending mends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import ModelProto, helper, numpy_helper
from support.architectures import ARCHITECTURES, EXPORTERS, build, exported

from parity.artifacts import Array
from parity.diagnosis.faults import FAULTS, choose, find_sites
from parity.diagnosis.faults.precision import PRECISION_FAULTS
from parity.diagnosis.faults.weights import WEIGHT_FAULTS
from parity.diagnosis.graphs.comparing import compare, mend_all
from parity.diagnosis.onnx64 import Graph64

# These go everywhere: three networks are enough to see them in convolutions, products and recurrent layers.
EVERYWHERE = {fault.name for fault in (*WEIGHT_FAULTS, *PRECISION_FAULTS)} - {"batchnorm-statistics"}
ENOUGH = ("resnet", "recurrent", "decoder")


def copied(model: ModelProto) -> ModelProto:
    copy = ModelProto()
    copy.CopyFrom(model)
    return copy


def outputs(model: ModelProto, inputs: dict[str, Array]) -> dict[str, Array]:
    evaluation = Graph64(model).run(inputs)
    assert not evaluation.unknown
    return {name: np.asarray(value) for name, value in evaluation.outputs.items()}


def inputs_of(architecture: str, model: ModelProto) -> dict[str, Array]:
    examples = build(architecture).example_inputs(1)
    return {each.name: x.numpy() for each, x in zip(model.graph.input, examples, strict=True)}


def assert_equal(found: dict[str, Array], expected: dict[str, Array]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-9, atol=1e-9 * np.abs(value).max())


def tensors(model: ModelProto) -> set[str]:
    return {name for node in model.graph.node for name in node.output}


@pytest.mark.parametrize("exporter", EXPORTERS)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_planted_fault_is_the_only_change_and_mending_takes_it_back(
    architecture: str, exporter: str
) -> None:
    sound = exported(architecture, exporter)
    before = sound.SerializeToString(deterministic=True)
    inputs = inputs_of(architecture, sound)
    expected = outputs(sound, inputs)
    faults = [fault for fault in FAULTS.values() if fault.name not in EVERYWHERE or architecture in ENOUGH]
    for name, sites in find_sites(sound, faults).items():
        planted = FAULTS[name]().plant(sound, choose(sites, seed=3))
        comparison = compare(planted.model, sound)
        assert not comparison.messy, name
        (change,) = comparison.changes
        assert change.node in planted.accepted, name
        assert change.kind == planted.cause_kind, name
        assert change.outputs
        mended = change.mend(planted.model)
        onnx.checker.check_model(mended, full_check=True)
        assert tensors(planted.model) <= tensors(mended), name
        assert_equal(outputs(mended, inputs), expected)
    assert sound.SerializeToString(deterministic=True) == before


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_messages(exporter: str) -> None:
    def message(architecture: str, fault: str) -> str:
        sound = exported(architecture, exporter)
        planted = FAULTS[fault]().plant(sound, choose(FAULTS[fault]().sites(sound), 0))
        return compare(planted.model, sound).changes[0].message

    assert message("resnet", "batchnorm-epsilon") == "epsilon is 0.001 in the file, 1e-05 in a fresh export"
    assert message("resnet", "relu-dropped").startswith("Relu between ")
    assert message("resnet", "relu-dropped").endswith(" is missing")
    assert message("mobilenet", "clip-bounds").startswith("max is 3 in the file, 6") or message(
        "mobilenet", "clip-bounds"
    ).startswith("min is -1.5 in the file, 0")
    assert "the mask is -1 in the file" in message("bert", "mask-constant") or "from" in message(
        "bert", "mask-constant"
    )
    assert message("recurrent", "activation-replaced").endswith(" in a fresh export")
    assert "float16" in message("resnet", "float16-constant")
    assert message("detector", "output-order") == (
        "the outputs 'reg', 'size' are in each other's place in a fresh export"
    )


def shuffled(model: ModelProto) -> ModelProto:
    """Every node and inner tensor has another name; the nodes are in another order that works."""
    copy = copied(model)
    graph = copy.graph
    kept = {each.name for each in (*graph.input, *graph.output)}
    mentioned = dict.fromkeys(name for node in graph.node for name in (*node.input, *node.output))
    names = {name: f"t{place}" for place, name in enumerate(mentioned) if name and name not in kept}
    for place, node in enumerate(graph.node):
        node.name = f"n{place}"
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    for tensor in graph.initializer:
        tensor.name = names.get(tensor.name, tensor.name)
    del graph.value_info[:]
    pending, order = list(graph.node), []
    known = {each.name for each in (*graph.input, *graph.initializer)} | {""}
    while pending:  # the last that can go, again and again: far from the exporter's order
        node = next(node for node in reversed(pending) if known.issuperset(node.input))
        pending.remove(node)
        known.update(node.output)
        order.append(onnx.NodeProto.FromString(node.SerializeToString()))
    del graph.node[:]
    graph.node.extend(order)
    onnx.checker.check_model(copy)
    return copy


@pytest.mark.parametrize("exporter", EXPORTERS)
@pytest.mark.parametrize("architecture", ["unet", "bert", "recurrent", "detector"])
def test_names_and_order_are_no_changes(architecture: str, exporter: str) -> None:
    sound = exported(architecture, exporter)
    comparison = compare(shuffled(sound), sound)
    assert comparison.changes == ()
    assert not comparison.messy


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_a_fault_under_other_names(exporter: str) -> None:
    sound = exported("resnet", exporter)
    planted = FAULTS["relu-dropped"]().plant(sound, choose(FAULTS["relu-dropped"]().sites(sound), 1))
    renamed = shuffled(planted.model)
    (change,) = compare(renamed, sound).changes
    inputs = inputs_of("resnet", sound)
    assert_equal(outputs(change.mend(renamed), inputs), outputs(sound, inputs))


def perturbed(model: ModelProto) -> tuple[ModelProto, set[str]]:
    """A file of another training step, and the initializers that are others in it."""
    copy, random, names = copied(model), np.random.default_rng(0), set()
    for tensor in copy.graph.initializer:
        value = numpy_helper.to_array(tensor)
        if value.dtype == np.float32 and value.size > 1 and np.isfinite(value).all():
            noise = 0.01 * random.standard_normal(value.shape) * (np.abs(value) + 0.1)
            tensor.CopyFrom(numpy_helper.from_array((value + noise).astype(np.float32), tensor.name))
            names.add(tensor.name)
    return copy, names


@pytest.mark.parametrize("exporter", EXPORTERS)
@pytest.mark.parametrize("architecture", ["resnet", "vit", "decoder"])
def test_a_stale_file_has_one_change_for_each_initializer(architecture: str, exporter: str) -> None:
    sound = exported(architecture, exporter)
    stale, names = perturbed(sound)
    comparison = compare(stale, sound)
    assert not comparison.messy
    assert {change.kind for change in comparison.changes} == {"initializer"}
    assert sorted(change.tensor for change in comparison.changes) == sorted(names)
    inputs = inputs_of(architecture, sound)
    assert_equal(outputs(mend_all(stale, comparison.changes), inputs), outputs(sound, inputs))


@pytest.mark.parametrize("fault", ["cast-truncation", "float16-round-trip"])
def test_casts_in_any_of_many_like_blocks_are_named_themselves(fault: str) -> None:
    sound = exported("detector", "torchscript")
    for site in FAULTS[fault]().sites(sound):
        planted = FAULTS[fault]().plant(sound, site)
        (change,) = compare(planted.model, sound).changes
        assert change.node in planted.accepted


def test_two_faults_are_two_changes_and_each_is_mended_alone() -> None:
    sound = exported("resnet", "dynamo")
    first = FAULTS["relu-dropped"]().plant(sound, choose(FAULTS["relu-dropped"]().sites(sound), 1))
    fault = FAULTS["batchnorm-statistics"]()
    second = fault.plant(first.model, choose(fault.sites(first.model), 2))
    comparison = compare(second.model, sound)
    assert {change.kind for change in comparison.changes} == {"structure", "initializer"}
    inputs = inputs_of("resnet", sound)
    (statistics,) = (change for change in comparison.changes if change.kind == "initializer")
    assert_equal(outputs(statistics.mend(second.model), inputs), outputs(first.model, inputs))
    assert_equal(outputs(mend_all(second.model, comparison.changes), inputs), outputs(sound, inputs))


@pytest.mark.parametrize("exporter", EXPORTERS)
@pytest.mark.parametrize("architecture", ["mobilenet", "detector"])
def test_a_file_that_a_simplifier_rewrote(architecture: str, exporter: str, tmp_path: Path) -> None:
    """What is told of it, if it can be told, takes the file back to what was exported."""
    sound = exported(architecture, exporter)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(tmp_path / "simplified.onnx")
    options.log_severity_level = 4
    providers = ["CPUExecutionProvider"]
    onnxruntime.InferenceSession(sound.SerializeToString(), options, providers=providers)
    simplified = onnx.load(options.optimized_model_filepath)
    comparison = compare(simplified, sound)
    if not comparison.messy:
        inputs = inputs_of(architecture, sound)
        mended = mend_all(simplified, comparison.changes)
        assert_equal(outputs(mended, inputs), outputs(sound, inputs))
        assert not compare(mended, sound).changes


# --- graphs made by hand


def made(
    nodes: list[onnx.NodeProto], constants: dict[str, Array], names: tuple[str, ...] = ("y",)
) -> ModelProto:
    x = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [2, 3])
    results = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [None, None]) for name in names]
    tensors = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "g", [x], results, tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    return model


def branching(factor: float, operator: str = "Mul") -> ModelProto:
    """If with bodies that take a tensor from around them."""
    inner = helper.make_tensor_value_info("inner", onnx.TensorProto.FLOAT, [None, None])
    bodies = [
        helper.make_graph(
            [helper.make_node(kind, ["a", "k"], ["inner"])],
            kind,
            [],
            [inner],
            [numpy_helper.from_array(np.float32(value), "k")],
        )
        for kind, value in ((operator, factor), ("Sub", 1.0))
    ]
    nodes = [
        helper.make_node("Relu", ["x"], ["a"], name="relu"),
        helper.make_node("If", ["c"], ["y"], name="if", then_branch=bodies[0], else_branch=bodies[1]),
    ]
    return made(nodes, {"c": np.array(True)})


X = {"x": np.array([[1.0, -2.0, 3.0], [4.0, 5.0, -6.0]], np.float32)}


@pytest.mark.parametrize("wrong", [lambda: branching(3.0), lambda: branching(2.0, "Add")])
def test_the_body_of_a_branch(wrong: Callable[[], ModelProto]) -> None:
    sound, file = branching(2.0), wrong()
    assert not compare(sound, branching(2.0)).changes
    (change,) = compare(file, sound).changes
    assert (change.node, change.kind) == ("if", "structure")
    assert change.message == "its then_branch computes something else than in a fresh export"
    assert_equal(outputs(change.mend(file), X), outputs(sound, X))


def test_what_a_branch_takes_is_compared_too() -> None:
    sound, file = branching(2.0), branching(2.0)
    file.graph.node[0].op_type = "Abs"
    (change,) = compare(file, sound).changes
    assert (change.node, change.message) == ("relu", "is Abs in the file, Relu in a fresh export")
    assert_equal(outputs(change.mend(file), X), outputs(sound, X))


def with_function(slope: float) -> ModelProto:
    model = made([helper.make_node("Relu", ["x"], ["y"], name="f")], {})
    body = [helper.make_node("LeakyRelu", ["a"], ["b"], alpha=slope)]
    function = helper.make_function("local", "F", ["a"], ["b"], body, [helper.make_opsetid("", 18)])
    model.functions.append(function)
    model.opset_import.append(helper.make_opsetid("local", 1))
    model.graph.node[0].op_type, model.graph.node[0].domain = "F", "local"
    return model


def test_the_body_of_a_function() -> None:
    sound, file = with_function(0.1), with_function(0.3)
    assert not compare(sound, with_function(0.1)).changes
    (change,) = compare(file, sound).changes
    assert (change.node, change.message) == ("f", "the function F has another body in a fresh export")
    assert_equal(outputs(change.mend(file), X), outputs(sound, X))


def test_an_edge_that_leads_elsewhere() -> None:
    def split(second: str) -> ModelProto:
        nodes = [
            helper.make_node("Relu", ["x"], ["a"], name="relu"),
            helper.make_node("Tanh", ["x"], ["b"], name="tanh"),
            helper.make_node("Sub", ["a", "b"], ["d"], name="sub"),
            helper.make_node("Exp", [second], ["e"], name="exp"),
            helper.make_node("Add", ["d", "e"], ["y"], name="add"),
        ]
        return made(nodes, {})

    file, sound = split("a"), split("b")
    (change,) = compare(file, sound).changes
    assert (change.node, change.kind) == ("exp", "structure")
    assert change.message == "takes 'a' in the file, 'b' in a fresh export"
    assert_equal(outputs(change.mend(file), X), outputs(sound, X))


@pytest.mark.parametrize("dropped", [1, 2, 4, 5])
def test_a_residual_connection_is_missing_in_a_row_of_blocks_alike(dropped: int) -> None:
    def blocks(without: int | None) -> ModelProto:
        """Inverted residuals: the first block of every stage has another width, and no connection past it."""
        generator = np.random.default_rng(0)
        nodes, constants, last = [], {}, "x"
        for i, (width, out) in enumerate([(3, 5), (5, 5), (5, 5), (5, 3), (3, 3), (3, 3), (3, 4)]):
            start, hidden = last, 6 * width
            for name, shape in (
                (f"up{i}", (width, hidden)),
                (f"mid{i}", (hidden, hidden)),
                (f"down{i}", (hidden, out)),
            ):
                constants[name] = generator.normal(size=shape).astype(np.float32) / shape[0]
            for step, weight in (("a", "up"), ("c", "mid")):
                nodes += [
                    helper.make_node("MatMul", [last, f"{weight}{i}"], [f"{step}{i}"], name=f"{step}{i}"),
                    helper.make_node("Relu", [f"{step}{i}"], [f"{step}{i}+"], name=f"{step}{i}+"),
                ]
                last = f"{step}{i}+"
            nodes.append(helper.make_node("MatMul", [last, f"down{i}"], [f"e{i}"], name=f"e{i}"))
            last = f"e{i}"
            if i != without and width == out:
                nodes.append(helper.make_node("Add", [start, last], [f"f{i}"], name=f"f{i}"))
                last = f"f{i}"
        nodes.append(helper.make_node("Identity", [last], ["y"], name="end"))
        return made(nodes, constants)

    file, sound = blocks(dropped), blocks(None)
    (change,) = compare(file, sound).changes
    assert change.kind == "structure"
    assert change.message.startswith(f"Add between e{dropped} and ")
    assert_equal(outputs(change.mend(file), X), outputs(sound, X))


def test_an_input_that_is_left_out_at_the_end() -> None:
    def clipped(operator: str) -> ModelProto:
        nodes = [
            helper.make_node(operator, ["x"], ["a"], name="first"),
            helper.make_node("Clip", ["a", "low", ""], ["y"], name="clip"),
        ]
        return made(nodes, {"low": np.array(0.5, np.float32)})

    file, sound = clipped("Abs"), clipped("Neg")
    (change,) = compare(file, sound).changes
    assert (change.node, change.message) == ("first", "is Abs in the file, Neg in a fresh export")
    assert_equal(outputs(change.mend(file), X), outputs(sound, X))


def test_another_output_of_a_node() -> None:
    def taken(name: str) -> ModelProto:
        nodes = [
            helper.make_node("Split", ["x"], ["a", "b", "c"], name="split", axis=1, num_outputs=3),
            helper.make_node("Exp", [name], ["y"], name="exp"),
        ]
        return made(nodes, {})

    file, sound = taken("a"), taken("b")
    (change,) = compare(file, sound).changes
    assert (change.node, change.kind) == ("exp", "structure")
    assert_equal(outputs(change.mend(file), X), outputs(sound, X))


def test_a_tied_weight_is_one_change() -> None:
    def tied(scale: float) -> ModelProto:
        nodes = [
            helper.make_node("MatMul", ["x", "w"], ["a"], name="first"),
            helper.make_node("Transpose", ["w"], ["t"], name="transpose", perm=[1, 0]),
            helper.make_node("MatMul", ["a", "t"], ["y"], name="second"),
        ]
        return made(nodes, {"w": scale * np.arange(9, dtype=np.float32).reshape(3, 3)})

    file, sound = tied(1.5), tied(1.0)
    (change,) = compare(file, sound).changes
    assert (change.node, change.tensor, change.kind) == ("first", "w", "initializer")
    assert_equal(outputs(change.mend(file), X), outputs(sound, X))


def test_another_network_is_messy() -> None:
    comparison = compare(exported("vit", "dynamo"), exported("vit", "torchscript"))
    assert comparison.messy
    mobilenet = exported("mobilenet", "torchscript")
    assert compare(mobilenet, exported("resnet", "torchscript")).messy


def test_thousands_of_nodes() -> None:
    def chain(changed: int) -> ModelProto:
        nodes, name = [], "x"
        for place in range(2000):
            kind = "LeakyRelu" if place % 3 else "Softplus"
            alpha = {"alpha": 0.5 if place == changed else 0.9} if place % 3 else {}
            nodes.append(helper.make_node(kind, [name], [f"t{place}"], name=f"n{place}", **alpha))
            nodes.append(helper.make_node("Add", [f"t{place}", name], [f"s{place}"], name=f"a{place}"))
            name = f"s{place}"
        nodes.append(helper.make_node("Neg", [name], ["y"], name="last"))
        return made(nodes, {})

    (change,) = compare(chain(7), chain(-1)).changes
    assert (change.node, change.message) == ("n7", "alpha is 0.5 in the file, 0.9 in a fresh export")
