from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from support.reference import unable

from parity.registry import INPUT_FORMATS
from parity.worker.inputs.files import read_file

X = np.arange(6, dtype=np.float32).reshape(2, 3)
BFLOAT16 = torch.tensor([0.5, 3.0], dtype=torch.bfloat16)


def write(path: Path, tensors: dict[str, Any]) -> Path:
    match path.suffix:
        case ".npz":
            np.savez(path, **tensors)
        case ".npy":
            np.save(path, next(iter(tensors.values())))
        case ".pt":
            torch.save({name: torch.as_tensor(value) for name, value in tensors.items()}, path)
        case ".pb":
            ((name, value),) = tensors.items()
            path.write_bytes(numpy_helper.from_array(value, name).SerializeToString())
    return path


@pytest.mark.parametrize("suffix", INPUT_FORMATS)
def test_every_format_gives_the_tensor_by_name(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"x{suffix}", {"x": X})

    (name, array), *_ = read_file(path).items()

    assert name == "x"
    assert array.dtype == np.float32
    np.testing.assert_array_equal(array, X)


@pytest.mark.parametrize("suffix", [".npz", ".pt"])
def test_archives_hold_many_and_names_may_be_anything(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"set{suffix}", {"a.b": X, "mask": X > 1, "n": np.int64(3)})

    tensors = read_file(path)

    assert list(tensors) == ["a.b", "mask", "n"]
    assert [array.dtype.name for array in tensors.values()] == ["float32", "bool", "int64"]
    assert tensors["n"].shape == ()


def test_a_bare_tensor_of_pytorch_has_the_name_of_the_file(tmp_path: Path) -> None:
    torch.save(BFLOAT16, tmp_path / "points.pt")

    (name, array), *_ = read_file(tmp_path / "points.pt").items()

    assert (name, array.dtype.name, array.astype(float).tolist()) == ("points", "bfloat16", [0.5, 3.0])


def test_a_protobuf_without_a_name_has_that_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "input_0.pb"
    path.write_bytes(numpy_helper.from_array(X).SerializeToString())

    assert list(read_file(path)) == ["input_0"]


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        (TensorProto.BFLOAT16, "bfloat16"),
        (TensorProto.FLOAT8E4M3FN, "float8_e4m3fn"),
        (TensorProto.INT4, "int4"),
        (TensorProto.STRING, "string"),
    ],
)
def test_dtypes_of_protobuf_that_numpy_has_not(tmp_path: Path, kind: int, dtype: str) -> None:
    values = [b"car", b"bus"] if kind == TensorProto.STRING else [1.0, 2.0]
    path = tmp_path / "x.pb"
    path.write_bytes(helper.make_tensor("x", kind, [2], values).SerializeToString())

    array = read_file(path)["x"]

    assert array.dtype.name.startswith("str" if dtype == "string" else dtype)
    assert array.tolist() == (["car", "bus"] if dtype == "string" else [1, 2])


class Exploding:
    def __reduce__(self) -> Any:
        return pytest.fail, ("code in an input file was executed",)


@pytest.mark.filterwarnings("ignore:.*pickle")
@pytest.mark.parametrize("suffix", INPUT_FORMATS)
@pytest.mark.parametrize("damage", ["missing", "empty", "truncated", "text", "pickle"])
def test_a_file_of_no_use_is_named(tmp_path: Path, suffix: str, damage: str) -> None:
    path = tmp_path / f"x{suffix}"
    match damage:
        case "empty":
            path.touch()
        case "truncated":
            content = write(path, {"x": X}).read_bytes()
            path.write_bytes(content[:-7])
        case "text":
            path.write_text("these are only words\n" * 9)
        case "pickle":
            path.write_bytes(pickle.dumps(Exploding()))

    error = unable(lambda: read_file(path))

    assert error.reason == "input"
    assert path.name in error.problem
    assert error.fix


@pytest.mark.parametrize("suffix", [".npz", ".npy"])
def test_arrays_of_objects_are_not_unpickled(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x{suffix}"
    array = np.array([Exploding()], dtype=object)
    np.savez(path, x=array) if suffix == ".npz" else np.save(path, array)

    assert "holds Python objects" in unable(lambda: read_file(path)).problem


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("x.csv", {}, "no known format"),
        ("x.npz", {}, "holds no tensor"),
        (
            "x.npz",
            {"t": np.array(["2020-01-01"], "datetime64[D]")},
            "'t' in x.npz: arrays of dtype datetime64",
        ),
    ],
)
def test_what_is_no_tensor_is_named(tmp_path: Path, name: str, content: dict[str, Any], said: str) -> None:
    assert said in unable(lambda: read_file(write(tmp_path / name, content))).problem


@pytest.mark.parametrize(
    ("data", "said"),
    [([torch.ones(1)], "an object of type list"), ({"x": 1.5}, "'x' in x.pt is an object of")],
)
def test_a_pt_file_with_something_else_is_named(tmp_path: Path, data: object, said: str) -> None:
    torch.save(data, tmp_path / "x.pt")

    assert said in unable(lambda: read_file(tmp_path / "x.pt")).problem


def test_a_whole_model_is_no_tensor(tmp_path: Path) -> None:
    graph = helper.make_graph([], "g", [], [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])])
    (tmp_path / "x.pb").write_bytes(onnx.ModelProto(graph=graph, ir_version=10).SerializeToString())

    assert "x.pb" in unable(lambda: read_file(tmp_path / "x.pb")).problem
