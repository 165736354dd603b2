"""Subgraphs, model-local functions, sequences and optionals, with values of the scope around them."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import AttributeProto, FunctionProto, GraphProto, NodeProto, helper
from onnx import TensorProto as T
from support.graphs import Array, graph, model, node, value

from parity.diagnosis.onnx64 import Graph64, Step

X = np.array([1.0, 2.0, 3.0])
TRUE, FALSE = np.array(True), np.array(False)


def branch(body: NodeProto, *before: NodeProto) -> GraphProto:
    return graph([*before, body], [], [body.output[0]])


def run(built: onnx.ModelProto, **inputs: Array) -> dict[str, Array]:
    result = Graph64(built).run(inputs)
    assert result.unknown == {}
    return {name: np.asarray(array) for name, array in result.outputs.items()}


class TestIf:
    @pytest.mark.parametrize(("condition", "expected"), [(TRUE, X + 1), (FALSE, -X)])
    def test_branches_read_the_scope_around_them(self, condition: Array, expected: Array) -> None:
        body = node(
            "If",
            "c",
            "y",
            then_branch=branch(node("Add", "x one", "t")),
            else_branch=branch(node("Neg", "x", "e")),
        )
        built = model([body], ["x", value("c", T.BOOL, [])], ["y"], {"one": np.float32(1)})
        np.testing.assert_array_equal(run(built, x=X, c=condition)["y"], expected)

    def test_two_scopes_up(self) -> None:
        inner = node(
            "If",
            "c",
            "i",
            then_branch=branch(node("Add", "a x", "t")),
            else_branch=branch(node("Neg", "x", "e")),
        )
        outer = node("If", "c", "y", then_branch=branch(inner), else_branch=branch(node("Exp", "x", "f")))
        built = model([node("Exp", "x", "a"), outer], ["x", value("c", T.BOOL, [])], ["y"])
        np.testing.assert_array_equal(run(built, x=X, c=TRUE)["y"], np.exp(X) + X)

    @pytest.mark.parametrize(("condition", "known"), [(TRUE, False), (FALSE, True)])
    def test_an_unknown_value_in_the_branch_not_taken_does_no_harm(
        self, condition: Array, known: bool
    ) -> None:
        body = node(
            "If",
            "c",
            "y",
            then_branch=branch(node("my.ops:Fancy", "x", "t")),
            else_branch=branch(node("Neg", "x", "e")),
        )
        built = model([body], ["x", value("c", T.BOOL, [])], ["y"])
        built.opset_import.append(helper.make_opsetid("my.ops", 1))
        assert ("y" in Graph64(built).run({"x": X, "c": condition}).outputs) is known

    def test_an_unknown_condition(self) -> None:
        body = node(
            "If",
            "f",
            "y",
            then_branch=branch(node("Exp", "x", "t")),
            else_branch=branch(node("Neg", "x", "e")),
        )
        result = Graph64(model([node("my.ops:Fancy", "x", "f"), body], ["x"], ["y"])).run({"x": X})
        assert "Fancy" in result.unknown["y"]


def _counting_body(*extra: NodeProto, outputs: tuple[str, ...] = ("next", "scan")) -> GraphProto:
    """state -> state + x; scans state * i."""
    nodes = [
        node("Identity", "cond", "going"),
        node("Add", "state x", "next"),
        node("Cast", "i", "f", to=T.FLOAT),
        node("Mul", "state f", "scan"),
        *extra,
    ]
    inputs = [value("i", T.INT64, []), value("cond", T.BOOL, []), value("state")]
    return graph(
        nodes, inputs, [value("going", T.BOOL, []), *(value(name, T.FLOAT, [3]) for name in outputs)]
    )


class TestLoop:
    def test_state_scan_and_the_scope_around(self) -> None:
        built = model(
            [node("Loop", "n - x", "final scans", body=_counting_body())],
            ["x"],
            ["final", "scans"],
            {"n": np.array(4)},
        )
        result = run(built, x=X)
        np.testing.assert_array_equal(result["final"], 5 * X)
        np.testing.assert_array_equal(result["scans"], np.stack([k * (k + 1) * X for k in range(4)]))

    def test_ends_by_its_condition(self) -> None:
        nodes = [
            node("Add", "state one", "next"),
            node("ReduceMax", "next", "m", keepdims=0),
            node("Less", "m limit", "going"),
        ]
        inputs = [value("i", T.INT64, []), value("cond", T.BOOL, []), value("state")]
        body = graph(nodes, inputs, [value("going", T.BOOL, []), value("next")])
        constants = {"one": np.float32(1), "limit": np.float32(9.5), "t": TRUE}
        built = model([node("Loop", "- t x", "final", body=body)], ["x"], ["final"], constants)
        np.testing.assert_array_equal(run(built, x=X)["final"], X + 7)

    def test_that_never_runs_keeps_the_state_and_scans_nothing(self) -> None:
        built = model(
            [node("Loop", "n - x", "final scans", body=_counting_body())],
            ["x"],
            ["final", "scans"],
            {"n": np.array(0)},
        )
        result = run(built, x=X)
        np.testing.assert_array_equal(result["final"], X)
        assert (result["scans"].shape, result["scans"].dtype) == ((0, 3), np.float64)

    def test_that_never_runs_and_declares_no_shape_is_unknown(self) -> None:
        body = _counting_body()
        body.output[2].type.tensor_type.ClearField("shape")
        built = model([node("Loop", "n - x", "f s", body=body)], ["x"], ["f", "s"], {"n": np.array(0)})
        result = Graph64(built).run({"x": X})
        assert set(result.outputs) == {"f"}
        assert "never ran" in result.unknown["s"]

    def test_an_unknown_scan_leaves_the_state_known(self) -> None:
        body = _counting_body(node("my.ops:Fancy", "state", "strange"), outputs=("next", "strange"))
        built = model([node("Loop", "n - x", "f s", body=body)], ["x"], ["f", "s"], {"n": np.array(2)})
        built.opset_import.append(helper.make_opsetid("my.ops", 1))
        result = Graph64(built).run({"x": X})
        np.testing.assert_array_equal(result.outputs["f"], 3 * X)
        assert "Fancy" in result.unknown["s"]

    def test_every_iteration_is_observed_with_its_place(self) -> None:
        seen: list[Step] = []
        built = model(
            [node("Loop", "n - x", "f s", body=_counting_body(), node_name="loop")],
            ["x"],
            ["f", "s"],
            {"n": np.array(3)},
        )
        Graph64(built).run({"x": X}, observe=seen.append)
        adds = [step for step in seen if step.node.op == "Add"]
        assert [step.node.scope for step in adds] == [("loop",)] * 3
        assert seen[-1].node.op == "Loop"


@pytest.mark.parametrize(("axis", "backwards", "out_axis"), [(0, 0, 0), (1, 1, 0), (1, 0, 1), (-1, 1, -1)])
def test_scan(axis: int, backwards: int, out_axis: int) -> None:
    nodes = [node("Add", "total row", "next"), node("Mul", "next k", "out")]
    body = graph(nodes, ["total", "row"], ["next", "out"])
    attributes = {
        "num_scan_inputs": 1,
        "scan_input_axes": [axis],
        "scan_input_directions": [backwards],
        "scan_output_axes": [out_axis],
        "scan_output_directions": [backwards],
    }
    scan = node("Scan", "zero x", "sum all", body=body, **attributes)
    x = np.arange(12.0).reshape(3, 4)
    built = model([scan], ["x"], ["sum", "all"], {"zero": np.float32(0).reshape(1), "k": np.float32(2)})
    rows = np.moveaxis(x, axis, 0)
    built.graph.initializer[0].CopyFrom(
        onnx.numpy_helper.from_array(np.zeros(rows.shape[1], np.float32), "zero")
    )
    result = run(built, x=x)
    order = rows[::-1] if backwards else rows
    sums = 2 * np.cumsum(order, 0)
    np.testing.assert_array_equal(result["sum"], rows.sum(0))
    np.testing.assert_array_equal(result["all"], np.moveaxis(sums[::-1] if backwards else sums, 0, out_axis))


def reference(name: str, to: str, kind: int) -> AttributeProto:
    """An attribute of a node in a function that is an attribute of the function."""
    return AttributeProto(name=name, ref_attr_name=to, type=kind)


def function(
    name: str, inputs: str, outputs: str, nodes: list[NodeProto], **options: object
) -> FunctionProto:
    imports = [helper.make_opsetid("", 20), helper.make_opsetid("local", 1)]
    return helper.make_function("local", name, inputs.split(), outputs.split(), nodes, imports, **options)  # type: ignore[arg-type]


def leaky(attributes: list[str], defaults: list[AttributeProto]) -> FunctionProto:
    body = node("LeakyRelu", "a", "b")
    body.attribute.append(reference("alpha", "slope", AttributeProto.FLOAT))
    return function("Leaky", "a", "b", [body], attributes=attributes, attribute_protos=defaults)


class TestFunctions:
    def test_attributes_are_handed_in(self) -> None:
        nodes = [node("local:Leaky", "x", "p", slope=0.5), node("local:Leaky", "p", "y", slope=0.25)]
        built = model(nodes, ["x"], ["y"], functions=[leaky(["slope"], [])])
        np.testing.assert_array_equal(run(built, x=-X)["y"], -X / 8)

    def test_an_attribute_left_out_takes_the_functions_default_or_the_operators(self) -> None:
        call = [node("local:Leaky", "x", "y")]
        default = model(call, ["x"], ["y"], functions=[leaky([], [helper.make_attribute("slope", 0.5)])])
        np.testing.assert_array_equal(run(default, x=-X)["y"], -X / 2)
        without = model(call, ["x"], ["y"], functions=[leaky(["slope"], [])])
        np.testing.assert_array_equal(run(without, x=-X)["y"], -X * np.float64(np.float32(0.01)))

    def test_nested_calls_hand_attributes_on(self) -> None:
        inner = node("local:Leaky", "a", "b")
        inner.attribute.append(reference("slope", "s", AttributeProto.FLOAT))
        outer = function("Outer", "a", "c", [inner, node("Neg", "b", "c")], attributes=["s"])
        built = model(
            [node("local:Outer", "x", "y", s=0.5)], ["x"], ["y"], functions=[leaky(["slope"], []), outer]
        )
        np.testing.assert_array_equal(run(built, x=-X)["y"], X / 2)

    def test_an_attribute_reaches_a_subgraph_inside(self) -> None:
        relu = node("LeakyRelu", "a", "t")
        relu.attribute.append(reference("alpha", "slope", AttributeProto.FLOAT))
        choose = node("If", "c", "b", then_branch=branch(relu), else_branch=branch(node("Neg", "a", "e")))
        built = model(
            [node("local:F", "x c", "y", slope=0.5)],
            ["x", value("c", T.BOOL, [])],
            ["y"],
            functions=[function("F", "a c", "b", [choose], attributes=["slope"])],
        )
        np.testing.assert_array_equal(run(built, x=-X, c=TRUE)["y"], -X / 2)

    def test_an_input_left_out_is_missing_inside(self) -> None:
        clip = function("Limit", "a low high", "b", [node("Clip", "a low high", "b")])
        built = model(
            [node("local:Limit", "x - top", "y")], ["x"], ["y"], {"top": np.float32(2)}, functions=[clip]
        )
        np.testing.assert_array_equal(run(built, x=X)["y"], [1, 2, 2])

    def test_names_inside_do_not_meet_names_outside(self) -> None:
        double = function("Double", "a", "b", [node("Add", "a a", "x"), node("Identity", "x", "b")])
        built = model(
            [node("local:Double", "x", "y"), node("Sub", "y x", "z")], ["x"], ["z"], functions=[double]
        )
        np.testing.assert_array_equal(run(built, x=X)["z"], X)

    def test_a_function_goes_before_an_operator_of_its_name(self) -> None:
        own = function("Relu", "a", "b", [node("Neg", "a", "b")])
        own.domain = ""
        built = model([node("Relu", "x", "y")], ["x"], ["y"], functions=[own])
        np.testing.assert_array_equal(run(built, x=X)["y"], -X)

    def test_one_unknown_output_leaves_the_other_known(self) -> None:
        both = function(
            "Both", "a", "b c", [node("Neg", "a", "b"), node("local:Nothing", "a", "c", node_name="n")]
        )
        result = Graph64(
            model([node("local:Both", "x", "y z", node_name="call")], ["x"], ["y", "z"], functions=[both])
        ).run({"x": X})
        np.testing.assert_array_equal(result.outputs["y"], -X)
        assert "node 'call/n' (local:Nothing)" in result.unknown["z"]


class TestContainers:
    def test_sequences(self) -> None:
        nodes = [
            node("SequenceConstruct", "x a", "s"),
            node("SequenceInsert", "s b zero", "t"),
            node("SequenceErase", "t minus", "u"),
            node("ConcatFromSequence", "u", "y", axis=0),
            node("SequenceAt", "t minus", "z"),
        ]
        constants = {"a": np.float32([4]), "b": np.float32([5]), "zero": np.array(0), "minus": np.array(-1)}
        result = run(model(nodes, ["x"], ["y", "z"], constants), x=X)
        np.testing.assert_array_equal(result["y"], [5, 1, 2, 3])
        np.testing.assert_array_equal(result["z"], [4])

    @pytest.mark.parametrize(("sizes", "shapes"), [(np.array(2), [2, 1]), (np.array([1, 2]), [1, 2])])
    def test_a_tensor_split_to_a_sequence(self, sizes: Array, shapes: list[int]) -> None:
        built = model(
            [node("SplitToSequence", "x n", "y")], ["x"], [onnx.ValueInfoProto(name="y")], {"n": sizes}
        )
        parts = Graph64(built).run({"x": X}).outputs["y"]
        assert isinstance(parts, list)
        assert [len(part) for part in parts] == shapes
        np.testing.assert_array_equal(np.concatenate(parts), X)

    def test_a_map_over_a_sequence(self) -> None:
        body = graph([node("Mul", "item k", "out")], ["item"], ["out"])
        nodes = [
            node("SequenceConstruct", "x x", "s"),
            node("SequenceMap", "s", "m", body=body),
            node("ConcatFromSequence", "m", "y", axis=0, new_axis=1),
        ]
        result = run(model(nodes, ["x"], ["y"], {"k": np.float32(3)}), x=X)
        np.testing.assert_array_equal(result["y"], [3 * X, 3 * X])

    @pytest.mark.parametrize("given", [True, False])
    def test_optionals(self, given: bool) -> None:
        optional = node("Optional", "x", "o") if given else node("Optional", "", "o", type=value("t").type)
        built = model([optional, node("OptionalHasElement", "o", "y")], ["x"], [value("y", T.BOOL)])
        assert bool(run(built, x=X)["y"]) is given
