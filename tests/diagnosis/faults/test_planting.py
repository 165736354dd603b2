"""Single edits on graphs made by hand: what exactly changes, and what must not."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from parity.diagnosis.faults import FAULTS, Planted

WEIGHT = np.arange(1, 10, dtype=np.float32).reshape(3, 3)


def model_of(
    nodes: list[NodeProto],
    constants: dict[str, np.ndarray],
    *,
    inputs: tuple[str, ...] = ("x",),
    outputs: tuple[str, ...] = ("y",),
    shape: tuple[int, ...] = (2, 3),
    opset: int = 18,
    dtype: int = TensorProto.FLOAT,
    rank: int = 2,
) -> ModelProto:
    graph = helper.make_graph(
        nodes,
        "hand",
        [helper.make_tensor_value_info(name, dtype, shape) for name in inputs],
        [helper.make_tensor_value_info(name, dtype, [None] * rank) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return model


def plant(name: str, model: ModelProto, which: int = 0) -> Planted:
    fault = FAULTS[name]()
    planted = fault.plant(model, fault.sites(model)[which])
    onnx.checker.check_model(planted.model, full_check=True)
    return planted


def run(model: ModelProto, **inputs: np.ndarray) -> list[np.ndarray]:
    return ReferenceEvaluator(model).run(None, inputs)


def node(op_type: str, inputs: str, outputs: str, name: str | None = None, **attributes) -> NodeProto:
    return helper.make_node(op_type, inputs.split(), outputs.split(), name=name or op_type, **attributes)


def constant(name: str, value: np.ndarray) -> NodeProto:
    return helper.make_node("Constant", [], [name], name=name, value=numpy_helper.from_array(value))


X = np.array([[1, 0, -2], [0.5, 3, 1]], np.float32)


@pytest.mark.parametrize("kind", ["initializer", "constant", "behind a transpose", "shared"])
def test_weights_wherever_they_sit(kind: str) -> None:
    """One node's weight is altered and no other's."""
    product, other = node("MatMul", "x w", "y", "first"), node("MatMul", "x w", "z", "second")
    if kind == "initializer":
        model = model_of([product], {"w": WEIGHT})
    elif kind == "constant":
        model = model_of([constant("w", WEIGHT), product], {})
    elif kind == "behind a transpose":
        model = model_of([node("Transpose", "v", "w", perm=[1, 0]), product], {"v": WEIGHT.T.copy()})
    else:
        model = model_of([product, other], {"w": WEIGHT}, outputs=("y", "z"))
    planted = plant("weight-scaled", model)
    outputs = run(planted.model, x=X)
    np.testing.assert_allclose(outputs[0], 1.02 * X @ WEIGHT, rtol=1e-6)
    np.testing.assert_allclose(run(model, x=X)[0], X @ WEIGHT, rtol=1e-6)
    if kind == "shared":
        np.testing.assert_allclose(outputs[1], X @ WEIGHT, rtol=1e-6)
    assert (planted.node, planted.op_type) == ("first", "MatMul")
    if kind in ("initializer", "constant"):
        assert planted.tensor == "w"
        assert len(planted.model.graph.node) == len(model.graph.node)
    else:
        assert planted.tensor != "w"
        assert "Transpose" not in {each.op_type for each in planted.model.graph.node}


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("weight-element", WEIGHT * np.array([[1, 1, 1], [1, 1, 1], [1, 1, -1]])),
        ("weight-channel-zeroed", WEIGHT * [1, 1, 0]),
        ("weight-channels-swapped", WEIGHT[:, [2, 1, 0]]),
        ("weight-transposed", WEIGHT.T),
        ("int8-constant", np.round(WEIGHT * 127 / 9) * 9 / 127),
    ],
)
def test_what_a_weight_becomes(fault: str, expected: np.ndarray) -> None:
    planted = plant(fault, model_of([node("MatMul", "x w", "y")], {"w": WEIGHT}))
    np.testing.assert_allclose(run(planted.model, x=X)[0], X @ expected, rtol=1e-6)


@pytest.mark.parametrize("transposed", [0, 1])
def test_output_channels_of_gemm(transposed: int) -> None:
    weight = WEIGHT.T.copy() if transposed else WEIGHT
    model = model_of([node("Gemm", "x w", "y", transB=transposed)], {"w": weight})
    planted = plant("weight-channel-zeroed", model)
    np.testing.assert_allclose(run(planted.model, x=X)[0], X @ (WEIGHT * [1, 1, 0]), rtol=1e-6)


def test_half_weights() -> None:
    weight = WEIGHT.astype(ml_dtypes.bfloat16)
    model = model_of([node("MatMul", "x w", "y")], {"w": weight}, dtype=TensorProto.BFLOAT16)
    planted = plant("weight-element", model)
    (altered,) = planted.model.graph.initializer
    assert altered.data_type == TensorProto.BFLOAT16
    assert numpy_helper.to_array(altered)[2, 2] == -9
    assert not FAULTS["bfloat16-constant"]().sites(model)  # nothing to lose


def test_a_dropped_operator_with_two_followers() -> None:
    nodes = [
        node("Neg", "x", "a"),
        node("Relu", "a", "b"),
        node("Neg", "b", "c", "left"),
        node("Add", "b c", "y", "sum"),
    ]
    planted = plant("relu-dropped", model_of(nodes, {}))
    assert planted.node == "left"
    assert planted.accepted == ("left", "sum")
    assert planted.message == "left: follows directly, without Relu (Relu) of the module"
    np.testing.assert_array_equal(run(planted.model, x=X)[0], np.zeros_like(X))


def test_a_dropped_operator_at_the_end() -> None:
    """The output keeps its name; the node before gives it now."""
    nodes = [node("Neg", "x", "a"), node("Sigmoid", "a", "z"), node("Relu", "a", "y")]
    planted = plant("relu-dropped", model_of(nodes, {}, outputs=("y", "z")))
    assert planted.node == "Neg"
    outputs = run(planted.model, x=X)
    np.testing.assert_array_equal(outputs[0], -X)
    np.testing.assert_allclose(outputs[1], 1 / (1 + np.exp(X)), rtol=1e-6)


def test_nodes_without_a_name_go_by_their_output() -> None:
    nameless = [helper.make_node("Neg", ["x"], ["a"]), helper.make_node("LeakyRelu", ["a"], ["y"])]
    planted = plant("slope", model_of(nameless, {}))
    assert planted.node == "y"
    assert planted.message == "y: alpha is 0.02 in the file, 0.01 in the module"


def test_operators_on_constants_and_integers_are_no_sites() -> None:
    nodes = [
        constant("c", WEIGHT),
        node("Relu", "c", "d"),
        node("Shape", "x", "s"),
        node("Concat", "s t", "u", axis=0),
        node("Slice", "u zero one", "v"),
        node("MatMul", "x d", "y"),
    ]
    constants = {"t": np.array([2, 3]), "zero": np.array([0]), "one": np.array([1])}
    model = model_of(nodes, constants)
    assert not FAULTS["concat-order"]().sites(model)
    assert not FAULTS["slice-shifted"]().sites(model)


def test_outputs_swapped_though_others_use_them() -> None:
    nodes = [node("Neg", "x", "y"), node("Relu", "y", "z")]
    planted = plant("output-order", model_of(nodes, {}, outputs=("y", "z")))
    outputs = run(planted.model, x=X)
    np.testing.assert_array_equal(outputs[0], np.maximum(-X, 0))
    np.testing.assert_array_equal(outputs[1], -X)
    assert set(planted.accepted) == {"Neg", "Relu"}


def test_gelu_by_its_tanh_formula() -> None:
    root, half = np.array(np.sqrt(2), np.float32), np.array(0.5, np.float32)
    nodes = [
        node("Div", "x root", "u"),
        node("Erf", "u", "e"),
        node("Add", "e one", "f"),
        node("Mul", "x f", "g"),
        node("Mul", "g half", "y", "last"),
    ]
    model = model_of(nodes, {"root": root, "half": half, "one": np.array(1, np.float32)})
    planted = plant("erf-as-tanh", model)
    x = X.astype(np.float64)
    tanh = 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    np.testing.assert_allclose(run(planted.model, x=X)[0], tanh, atol=1e-6)
    assert planted.op_type == "Tanh"


@pytest.mark.parametrize("opset", [11, 18])
def test_reduced_axes_as_attribute_and_as_input(opset: int) -> None:
    if opset < 18:
        nodes, constants = [node("ReduceMean", "x", "y", axes=[1], keepdims=0)], {}
    else:
        nodes, constants = [node("ReduceMean", "x axes", "y", keepdims=0)], {"axes": np.array([-1])}
    planted = plant("reduce-axis", model_of(nodes, constants, shape=(2, 2), opset=opset, rank=1))
    x = np.array([[1, 2], [3, 5]], np.float32)
    np.testing.assert_allclose(run(planted.model, x=x)[0], x.mean(0))
    assert planted.message == "ReduceMean: axes is [0] in the file, [1] in the module"


def test_a_slice_at_the_end_shifts_back() -> None:
    constants = {"from": np.array([1]), "to": np.array([2**31]), "axis": np.array([-1])}
    planted = plant("slice-shifted", model_of([node("Slice", "x from to axis", "y")], constants))
    np.testing.assert_array_equal(run(planted.model, x=X)[0], X[:, 0:2])
    assert planted.message == "Slice: takes [0:2] in the file, [1:3] in the module"


def test_attention_scale_and_mask() -> None:
    nodes = [
        node("Transpose", "x", "t", perm=[1, 0]),
        node("MatMul", "x t", "scores"),
        node("Mul", "scores scale", "scaled"),
        node("Add", "scaled mask", "masked"),
        node("Softmax", "masked", "y"),
    ]
    mask = np.array([[0, -np.inf], [0, 0]], np.float32)
    model = model_of(nodes, {"scale": np.array(0.5, np.float32), "mask": mask})
    scaled, masked = plant("attention-scale", model), plant("mask-constant", model)
    assert scaled.message == "Mul: the scale is 0.25 in the file, 0.5 in the module"
    assert masked.message == "Add: the mask is -1 in the file, -inf in the module"

    def softmax(scores: np.ndarray) -> np.ndarray:
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        return weights / weights.sum(-1, keepdims=True)

    np.testing.assert_allclose(run(scaled.model, x=X)[0], softmax(0.25 * X @ X.T + mask), rtol=1e-5)
    softer = np.where(mask < 0, -1, mask)
    np.testing.assert_allclose(run(masked.model, x=X)[0], softmax(0.5 * X @ X.T + softer), rtol=1e-5)


def test_a_round_trip_leaves_the_graphs_own_output_alone() -> None:
    nodes = [node("Div", "x three", "y"), node("Neg", "y", "z")]
    constants = {"three": np.array(3, np.float32)}
    planted = plant("float16-round-trip", model_of(nodes, constants, outputs=("y", "z")))
    y, z = run(planted.model, x=X)
    np.testing.assert_array_equal(y, X / np.float32(3))
    np.testing.assert_array_equal(z, -(X / np.float32(3)).astype(np.float16).astype(np.float32))
    assert planted.op_type == "Cast"
    assert len(planted.accepted) == 2


def test_names_that_control_flow_uses_survive() -> None:
    body = helper.make_graph(
        [helper.make_node("Mul", ["r", "factor"], ["out"])],
        "body",
        [],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [2, 3])],
    )
    nodes = [
        constant("yes", np.array(True)),
        node("Relu", "x", "r"),
        node("If", "yes", "y", then_branch=body, else_branch=body),
    ]
    model = model_of(nodes, {"factor": np.array(2, np.float32)})
    planted = plant("activation-replaced", model)
    np.testing.assert_allclose(run(planted.model, x=X)[0], 2 * np.where(X > 0, X, 0.01 * X), rtol=1e-6)
