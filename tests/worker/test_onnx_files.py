from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper
from support import onnx_models

from parity.records.tensors import ValueInfo
from parity.worker.onnx_files import dtype_name, element_type, read_signature
from parity.worker.problems import Unable


def refusal(path: Path | str) -> Unable:
    with pytest.raises(Unable) as caught:
        read_signature(str(path))
    assert caught.value.reason == "onnx"
    assert str(path) in caught.value.problem
    assert not caught.value.problem.endswith(".")
    return caught.value


def test_names_dtypes_and_shapes_without_initializers(tmp_path):
    inputs, outputs = read_signature(onnx_models.sum_and_double(tmp_path / "m.onnx"))
    assert inputs == (
        ValueInfo(name="a", dtype="float32", shape=("batch", 3)),
        ValueInfo(name="b", dtype="float32", shape=("batch", 3)),
    )
    assert [value.name for value in outputs] == ["total", "twice"]


def test_unknown_axes_unknown_rank_and_scalars(tmp_path):
    made = onnx_models.model(
        [helper.make_node("Identity", [name], [f"{name}_out"]) for name in "abc"],
        [
            onnx_models.value("a", TensorProto.BFLOAT16, [None, 3, -1]),
            onnx_models.value("b", TensorProto.DOUBLE),
            onnx_models.value("c", TensorProto.STRING, []),
        ],
        [onnx_models.value(f"{name}_out", code) for name, code in (("a", 16), ("b", 11), ("c", 8))],
    )
    inputs, _ = read_signature(onnx_models.save(made, tmp_path / "m.onnx"))
    assert inputs == (
        ValueInfo(name="a", dtype="bfloat16", shape=(None, 3, None)),
        ValueInfo(name="b", dtype="float64", shape=None),
        ValueInfo(name="c", dtype="string", shape=()),
    )


@pytest.mark.parametrize("code", onnx.TensorProto.DataType.values())
def test_every_element_type_has_one_name(code):
    assert element_type(dtype_name(code)) == code


def test_element_types_are_named_as_numpy_and_ml_dtypes_name_them():
    names = {dtype_name(code) for code in onnx.TensorProto.DataType.values()}
    assert names >= {
        "float32",
        "float64",
        "float16",
        "bfloat16",
        "float8_e4m3fn",
        "float8_e8m0fnu",
        "int4",
        "bool",
    }


def test_missing_file(tmp_path):
    assert "there is no ONNX file" in refusal(tmp_path / "none.onnx").problem


def test_folder(tmp_path):
    assert "is a folder" in refusal(tmp_path).problem


def test_empty_file(tmp_path):
    (tmp_path / "m.onnx").touch()
    assert "is empty" in refusal(tmp_path / "m.onnx").problem


def test_unreadable_name(tmp_path):
    refusal(tmp_path / ("x" * 300))


@pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.99])
def test_truncated_file(tmp_path, share):
    path = Path(onnx_models.sum_and_double(tmp_path / "m.onnx"))
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    assert "damaged" in refusal(path).problem or "no graph" in refusal(path).problem


@pytest.mark.parametrize(
    "content", [b"not an ONNX model\n", b"\x80\x04K\x01.", b"\x00" * 100, b"PK\x03\x04" + b"\x00" * 60]
)
def test_other_files(tmp_path, content):
    (tmp_path / "m.onnx").write_bytes(content)
    assert "damaged" in refusal(tmp_path / "m.onnx").problem


def test_json_by_name_is_still_read_as_protobuf(tmp_path):
    assert read_signature(onnx_models.identity(tmp_path / "m.json"))


def test_protobuf_without_a_graph(tmp_path):
    onnx_models.save(onnx.ModelProto(ir_version=10), tmp_path / "m.onnx")
    assert "holds no graph" in refusal(tmp_path / "m.onnx").problem


def test_graph_without_outputs(tmp_path):
    made = onnx_models.model([helper.make_node("Identity", ["x"], ["y"])], [onnx_models.value("x")], [])
    assert "no output" in refusal(onnx_models.save(made, tmp_path / "m.onnx")).problem


def test_git_lfs_pointer(tmp_path):
    path = tmp_path / "m.onnx"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 99\n")
    assert "git lfs pull" in refusal(path).fix


def test_sequences_maps_and_optional_values_are_outputs(tmp_path):
    tensor = helper.make_tensor_type_proto(TensorProto.FLOAT, ["n"])
    types = {
        "parts": helper.make_sequence_type_proto(tensor),
        "classes": helper.make_sequence_type_proto(helper.make_map_type_proto(TensorProto.STRING, tensor)),
        "mask": helper.make_optional_type_proto(tensor),
    }
    made = onnx_models.model(
        [helper.make_node("Identity", ["x"], ["y"])],
        [onnx_models.value("x")],
        [helper.make_value_info(name, kind) for name, kind in types.items()],
    )
    _, outputs = read_signature(onnx_models.save(made, tmp_path / "m.onnx"))
    assert [(o.name, o.dtype, o.form, o.shape) for o in outputs] == [
        ("parts", "float32", "collection", None),
        ("classes", "float32", "collection", None),
        ("mask", "float32", "optional", ("n",)),
    ]


def test_a_sequence_as_an_input_is_refused_by_name(tmp_path):
    made = onnx_models.model(
        [helper.make_node("SequenceLength", ["parts"], ["y"])],
        [helper.make_tensor_sequence_value_info("parts", TensorProto.FLOAT, None)],
        [onnx_models.value("y", TensorProto.INT64)],
    )
    error = refusal(onnx_models.save(made, tmp_path / "m.onnx"))
    assert "'parts', input of" in error.problem
    assert "is a sequence" in error.problem


class TestExternalData:
    def test_is_not_read(self, tmp_path):
        path = onnx_models.external(tmp_path / "m.onnx")
        (tmp_path / "m.onnx.data").write_bytes(b"\xff" * 256)
        (tmp_path / "m.onnx.data").chmod(0)
        inputs, _ = read_signature(path)
        assert inputs[0].shape == (64,)

    def test_missing(self, tmp_path):
        path = onnx_models.external(tmp_path / "m.onnx")
        (tmp_path / "m.onnx.data").unlink()
        error = refusal(path)
        assert "'weight'" in error.problem
        assert str(tmp_path / "m.onnx.data") in error.problem

    @pytest.mark.parametrize("keep_length", [True, False])
    def test_too_short(self, tmp_path, keep_length):
        path = Path(onnx_models.external(tmp_path / "m.onnx"))
        if not keep_length:
            made = onnx.load(path, load_external_data=False)
            entries = made.graph.initializer[0].external_data
            kept = [entry for entry in entries if entry.key != "length"]
            del entries[:]
            entries.extend(kept)
            onnx_models.save(made, path)
        (tmp_path / "m.onnx.data").write_bytes(b"\0" * 255)
        assert "has 255 bytes, 256 are needed" in refusal(path).problem

    def test_git_lfs_pointer(self, tmp_path):
        path = onnx_models.external(tmp_path / "m.onnx")
        (tmp_path / "m.onnx.data").write_text("version https://git-lfs.github.com/spec/v1\n")
        assert "git lfs pull" in refusal(path).fix

    @pytest.mark.parametrize("location", ["../m.onnx.data", "/etc/passwd", "a/../../m.onnx.data", ""])
    def test_outside_the_folder(self, tmp_path, location):
        (tmp_path / "in").mkdir()
        path = onnx_models.external(tmp_path / "in" / "m.onnx", location=location)
        assert "outside the model's folder" in refusal(path).problem

    def test_of_a_constant_in_a_subgraph(self, tmp_path):
        constant = helper.make_tensor("inner", TensorProto.FLOAT, [4], b"\0" * 16, raw=True)
        constant.ClearField("raw_data")
        constant.data_location = TensorProto.EXTERNAL
        constant.external_data.add(key="location", value="gone.bin")
        branch = helper.make_graph(
            [helper.make_node("Constant", [], ["c"], value=constant)], "branch", [], [onnx_models.value("c")]
        )
        made = onnx_models.model(
            [helper.make_node("If", ["flag"], ["y"], then_branch=branch, else_branch=branch)],
            [onnx_models.value("flag", TensorProto.BOOL, [])],
            [onnx_models.value("y")],
        )
        error = refusal(onnx_models.save(made, tmp_path / "m.onnx"))
        assert "'inner'" in error.problem
        assert "gone.bin" in error.problem

    def test_with_a_nonsense_offset(self, tmp_path):
        path = Path(onnx_models.external(tmp_path / "m.onnx"))
        made = onnx.load(path, load_external_data=False)
        made.graph.initializer[0].external_data.add(key="offset", value="-5")
        onnx_models.save(made, path)
        refusal(path)
