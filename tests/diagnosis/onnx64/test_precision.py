"""What is raised to float64, and which rounding stays."""

from __future__ import annotations

import math

import numpy as np
import onnx
import pytest
from ml_dtypes import bfloat16
from onnx import TensorProto as T
from onnx import helper
from support.graphs import Array, feeds, model, node, one, value

from parity.diagnosis.onnx64 import Graph64

THIRD = np.float32(1) / np.float32(3)


def only(result: object) -> Array:
    (array,) = result.outputs.values()  # type: ignore[attr-defined]
    return np.asarray(array)


def round_trip(through: int, back: int = T.FLOAT, native: int = T.FLOAT) -> onnx.ModelProto:
    """Two additions in the `native` type around a cast to `through` and `back`."""
    zero = np.zeros(1, helper.tensor_dtype_to_np_dtype(native))
    nodes = [
        node("Add", "x zero", "a"),
        node("Cast", "a", "b", to=through),
        node("Cast", "b", "c", to=back),
        node("Add", "c zero", "d"),
        node("Add", "d zero", "y"),
    ]
    return model(nodes, [value("x", native, [1])], [value("y", native, [1])], {"zero": zero})


class TestCasts:
    @pytest.mark.parametrize(
        ("through", "rounded"),
        [
            (T.FLOAT16, np.float16(THIRD)),
            (T.BFLOAT16, bfloat16(THIRD)),
            (T.FLOAT, THIRD),
            (T.DOUBLE, THIRD),
        ],
    )
    def test_a_cast_narrower_than_float32_rounds(self, through: int, rounded: object) -> None:
        result = only(Graph64(round_trip(through)).run({"x": np.array([THIRD])}))
        assert result.dtype == np.float64
        assert result[0] == np.float64(rounded)

    def test_a_cast_to_the_graphs_own_type_does_not_round(self) -> None:
        result = only(Graph64(round_trip(T.FLOAT)).run({"x": np.array([1 / 3])}))
        assert result[0] == 1 / 3

    def test_in_a_float64_graph_a_cast_to_float32_rounds(self) -> None:
        graph = Graph64(round_trip(T.FLOAT, T.DOUBLE, T.DOUBLE))
        assert graph.native == T.DOUBLE
        assert only(graph.run({"x": np.array([1 / 3])}))[0] == np.float64(THIRD)

    def test_in_a_float16_graph_a_cast_to_float16_does_not_round(self) -> None:
        graph = Graph64(round_trip(T.FLOAT, T.FLOAT16, T.FLOAT16))
        assert graph.native == T.FLOAT16
        assert only(graph.run({"x": np.array([1 / 3])}))[0] == 1 / 3

    def test_beyond_the_range_of_float16_is_infinite(self) -> None:
        assert only(Graph64(round_trip(T.FLOAT16)).run({"x": np.float32([1e6])}))[0] == math.inf

    def test_cast_like_rounds_through_the_declared_type_of_its_model(self) -> None:
        nodes = [node("Add", "x x", "a"), node("CastLike", "a h", "b"), node("Cast", "b", "y", to=T.FLOAT)]
        graph = Graph64(model(nodes, [value("x", T.FLOAT, [1])], ["y"], {"h": np.float16([0])}))
        assert only(graph.run({"x": np.array([THIRD])}))[0] == np.float64(np.float16(2 * THIRD))

    def test_float8_rounds_and_saturates(self) -> None:
        x = np.float32([0.3, 1e6])
        nodes = [node("Cast", "x", "b", to=T.FLOAT8E4M3FN), node("Cast", "b", "y", to=T.FLOAT)]
        result = only(Graph64(model(nodes, [value("x", T.FLOAT, [2])], ["y"])).run({"x": x}))
        assert result.tolist() == [0.3125, 448]

    def test_a_whole_number_is_cast_exactly_unless_the_target_is_narrow(self) -> None:
        x = np.array([2**24 + 1])
        for to, expected in ((T.FLOAT, 2**24 + 1), (T.BFLOAT16, 2**24)):
            nodes = [
                node("Cast", "i0", "a", to=to),
                node("Cast", "a", "b", to=T.FLOAT),
                node("Add", "b b", "o0"),
            ]
            graph = Graph64(model(nodes, [value("i0", T.INT64, [1])], ["o0"]), native=T.FLOAT)
            assert only(graph.run({"i0": x}))[0] == 2 * expected


class TestOwnType:
    @pytest.mark.parametrize("dtype", [np.float16, bfloat16])
    def test_a_half_precision_model_with_float32_ends_is_raised_as_a_whole(self, dtype: type) -> None:
        half = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        w = np.asarray([[0.1, 0.2], [0.3, 0.4]]).astype(dtype)
        nodes = [
            node("Cast", "x", "h", to=half),
            node("MatMul", "h w", "m"),
            node("Relu", "m", "r"),
            node("Cast", "r", "y", to=T.FLOAT),
        ]
        graph = Graph64(model(nodes, [value("x", T.FLOAT, [1, 2])], [value("y", T.FLOAT, [1, 2])], {"w": w}))
        assert graph.native == half
        x = np.array([[1 / 3, 1 / 7]])
        np.testing.assert_allclose(only(graph.run({"x": x})), x @ w.astype(np.float64), rtol=1e-15)

    def test_a_float32_model_with_weights_stored_in_float16_is_float32(self) -> None:
        nodes = [node("Cast", "w", "f", to=T.FLOAT), node("MatMul", "x f", "y")]
        graph = Graph64(
            model(nodes, [value("x", T.FLOAT, [2, 2])], ["y"], {"w": np.eye(2, dtype=np.float16)})
        )
        assert graph.native == T.FLOAT

    def test_it_can_be_given(self) -> None:
        graph = Graph64(round_trip(T.FLOAT16), native=T.FLOAT16)
        assert only(graph.run({"x": np.array([1 / 3])}))[0] == 1 / 3


class TestNewTensors:
    @pytest.mark.parametrize(
        "body",
        [
            node("ConstantOfShape", "shape", "y"),
            node("ConstantOfShape", "shape", "y", value=helper.make_tensor("v", T.FLOAT, [1], [0.1])),
            node("Constant", "", "y", value=helper.make_tensor("v", T.FLOAT16, [1], [0.1])),
            node("Constant", "", "y", value_float=0.1),
            node("Constant", "", "y", value_floats=[0.1, 0.2]),
            node("EyeLike", "matrix", "y", dtype=T.FLOAT),
            node("Range", "zero one tenth", "y"),
            node("HannWindow", "count", "y", output_datatype=T.FLOAT),
            node("SequenceEmpty", "", "s"),
        ],
        ids=lambda body: body.op_type,
    )
    def test_floats_are_created_in_float64(self, body: onnx.NodeProto) -> None:
        constants = {
            "shape": np.array([2]),
            "matrix": np.ones((2, 2), np.int32),
            "zero": np.float32(0),
            "one": np.float32(1),
            "tenth": np.float32(0.1),
            "count": np.array(8),
        }
        nodes = [body]
        if body.op_type == "SequenceEmpty":
            nodes += [
                node("SequenceInsert", "s tenth", "t"),
                node("ConcatFromSequence", "t", "y", axis=0, new_axis=1),
            ]
        assert only(Graph64(model(nodes, [], ["y"], constants)).run({})).dtype == np.float64

    def test_attributes_are_the_float32_numbers_of_the_file(self) -> None:
        x = np.float32([-1])
        result = only(Graph64(one("LeakyRelu", [x], alpha=0.1)).run(feeds([x])))
        assert result[0] == -np.float64(np.float32(0.1))

    def test_defaults_are_float32_numbers_too(self) -> None:
        x = np.float32([-1])
        assert only(Graph64(one("LeakyRelu", [x])).run(feeds([x])))[0] == -np.float64(np.float32(0.01))


class TestRandom:
    @pytest.mark.parametrize(
        "body",
        [
            node("RandomNormal", "", "r", shape=[2]),
            node("RandomUniformLike", "x", "r"),
            node("Bernoulli", "x", "r"),
            node("Dropout", "x half true", "r"),
        ],
        ids=lambda body: body.op_type,
    )
    def test_is_unknown(self, body: onnx.NodeProto) -> None:
        constants = {"half": np.float32(0.5), "true": np.array(True)}
        result = Graph64(model([body, node("Neg", "r", "y")], ["x"], ["y"], constants)).run(
            {"x": np.float32([0.5])}
        )
        assert result.unknown["y"].endswith(f"({body.op_type}) can't be evaluated: random")

    @pytest.mark.parametrize("body", [node("Dropout", "x", "y m"), node("Dropout", "x zero true", "y m")])
    def test_dropout_that_drops_nothing_is_known(self, body: onnx.NodeProto) -> None:
        constants = {"zero": np.float32(0), "true": np.array(True)}
        ends = ["x"], ["y", value("m", T.BOOL)]
        result = Graph64(model([body], *ends, constants)).run({"x": np.float32([0.5])})
        assert result.outputs["y"] == [0.5]
        assert result.outputs["m"] == [True]


class TestSizes:
    """Sizes are computed in float32 and cut to whole numbers; 0.7 in float32 is a little less than 0.7."""

    @pytest.mark.parametrize("cut", ["Floor", "Cast"])
    def test_computed_in_the_graph(self, cut: str) -> None:
        nodes = [
            node("Shape", "x", "s"),
            node("Cast", "s", "f", to=T.FLOAT),
            node("Mul", "f scale", "m"),
            node("Floor", "m", "c") if cut == "Floor" else node("Identity", "m", "c"),
            node("Cast", "c", "y", to=T.INT64),
        ]
        graph = Graph64(model(nodes, ["x"], [value("y", T.INT64)], {"scale": np.float32([0.7])}))
        assert only(graph.run({"x": np.zeros(10)})).tolist() == [7]

    def test_of_resize(self) -> None:
        inputs = [np.zeros((1, 10), np.float32), None, np.float32([1, 0.7])]
        assert only(Graph64(one("Resize", inputs)).run(feeds(inputs))).shape == (1, 7)

    def test_of_range(self) -> None:
        inputs = [np.float32(0), np.float32(0.7), np.float32(0.1)]
        assert len(only(Graph64(one("Range", inputs)).run(feeds(inputs)))) == 7


class TestQuantization:
    def test_the_grid_stays_and_the_arithmetic_is_exact(self) -> None:
        x = np.float32([-1, 0.1, 0.26, 300])
        nodes = [node("QuantizeLinear", "x s z", "q"), node("DequantizeLinear", "q s z", "y")]
        constants = {"s": np.float32(0.1), "z": np.uint8(3)}
        result = only(Graph64(model(nodes, ["x"], ["y"], constants)).run({"x": x}))
        scale = np.float64(np.float32(0.1))
        assert result.tolist() == [-3 * scale, scale, 3 * scale, 252 * scale]

    def test_far_beyond_the_grid_saturates(self) -> None:
        inputs = [np.float32([1e30, -1e30]), np.float32(1), np.int8(0)]
        assert only(Graph64(one("QuantizeLinear", inputs)).run(feeds(inputs))).tolist() == [127, -128]

    def test_integer_products_are_exact(self) -> None:
        rng = np.random.default_rng(0)
        a, b = rng.integers(0, 256, (3, 500), np.uint8), rng.integers(-128, 128, (500, 4), np.int8)
        inputs = [a, b, np.uint8(7), np.int8(-3)]
        result = only(Graph64(one("MatMulInteger", inputs)).run(feeds(inputs)))
        np.testing.assert_array_equal(result, (a.astype(np.int64) - 7) @ (b.astype(np.int64) + 3))
        assert result.dtype == np.int32

    @pytest.mark.parametrize("block", [0, 2])
    def test_scales_along_an_axis_and_in_blocks(self, block: int) -> None:
        codes = np.arange(12, dtype=np.int8).reshape(2, 6)
        scale = np.float32([[1, 2, 4], [8, 16, 32]]) if block else np.float32([1, 2, 4, 8, 16, 32])
        inputs = [codes, scale]
        attributes = {"block_size": block} if block else {}
        result = only(
            Graph64(one("DequantizeLinear", inputs, opset=21, axis=1, **attributes)).run(feeds(inputs))
        )
        np.testing.assert_array_equal(result, codes * (np.repeat(scale, 2, 1) if block else scale[None]))
