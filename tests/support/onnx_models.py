"""Small ONNX models, made by hand so that their results are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Shape = list[int | str | None]


def model(
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    initializers: list[onnx.TensorProto] | None = None,
    *,
    opset: int = 21,
) -> onnx.ModelProto:
    """A model of one graph, in the versions that every supported ONNX Runtime takes."""
    graph = helper.make_graph(nodes, "g", inputs, outputs, initializer=initializers or [])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def value(name: str, code: int = TensorProto.FLOAT, shape: Shape | None = None) -> onnx.ValueInfoProto:
    """A declared tensor; without `shape`, of unknown rank."""
    return helper.make_tensor_value_info(name, code, shape)


def save(made: onnx.ModelProto, path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(made.SerializeToString())
    return str(path)


def identity(path: Path, code: int = TensorProto.FLOAT, shape: Shape | None = None) -> str:
    """``y = x``."""
    return save(
        model(
            [helper.make_node("Identity", ["x"], ["y"])], [value("x", code, shape)], [value("y", code, shape)]
        ),
        path,
    )


def sum_and_double(path: Path) -> str:
    """``total = a + b``, ``twice = 2 a``, both float32 (batch, 3); `two` is an initializer and an input."""
    return save(
        model(
            [
                helper.make_node("Add", ["a", "b"], ["total"]),
                helper.make_node("Mul", ["a", "two"], ["twice"]),
            ],
            [value(name, shape=["batch", 3]) for name in "ab"] + [value("two", shape=[1])],
            [value(name, shape=["batch", 3]) for name in ("total", "twice")],
            [numpy_helper.from_array(np.array([2], np.float32), "two")],
        ),
        path,
    )


def scale(path: Path, factor: float, *, node: str = "scaling") -> str:
    """``scaled = factor * x``, float32 (n, 2)."""
    return save(
        model(
            [helper.make_node("Mul", ["x", "factor"], ["scaled"], name=node)],
            [value("x", shape=["n", 2])],
            [value("scaled", shape=["n", 2])],
            [numpy_helper.from_array(np.array(factor, np.float32), "factor")],
        ),
        path,
    )


def positive_rows(path: Path) -> str:
    """The positive elements of x (n,), their indices (1, m), and their number, a scalar."""
    zero = numpy_helper.from_array(np.array(0, np.float32), "zero")
    axis = numpy_helper.from_array(np.array(0, np.int64), "axis")
    return save(
        model(
            [
                helper.make_node("Greater", ["x", "zero"], ["mask"]),
                helper.make_node("Compress", ["x", "mask"], ["kept"], axis=0),
                helper.make_node("NonZero", ["mask"], ["where"]),
                helper.make_node("Shape", ["kept"], ["shape"]),
                helper.make_node("Gather", ["shape", "axis"], ["count"]),
            ],
            [value("x", shape=["n"])],
            [value("kept", shape=["m"]), value("where", TensorProto.INT64, [1, "m"]), value("count", 7, [])],
            [zero, axis],
        ),
        path,
    )


def external(path: Path, *, location: str | None = None) -> str:
    """``y = x + weight``, x float32 (64,), with the weight (64 ones) in `location`, beside the file."""
    made = model(
        [helper.make_node("Add", ["x", "weight"], ["y"])],
        [value("x", shape=[64])],
        [value("y", shape=[64])],
        [numpy_helper.from_array(np.ones(64, np.float32), "weight")],
    )
    onnx.save(
        made,
        path,
        save_as_external_data=True,
        location=f"{path.name}.data",
        size_threshold=0,
        convert_attribute=True,
    )
    if location is not None:
        changed = onnx.load(path, load_external_data=False)
        next(e for e in changed.graph.initializer[0].external_data if e.key == "location").value = location
        path.write_bytes(changed.SerializeToString())
    return str(path)
