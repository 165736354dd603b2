"""Files that are no specification at all: one readable error each."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.specs import SOUND, SpecFolder, errors_of, place

from parity.errors import ExitCode, SpecError, SpecErrors
from parity.spec.loading import SIZE_LIMIT, load_spec, read_text


def test_a_missing_file_names_its_neighbours(folder: SpecFolder) -> None:
    folder.write(SOUND, "parity.yml")
    (error,) = errors_of(folder.root / "partiy.yml")
    assert error.problem == "there is no such file"
    assert "parity.yml" in error.fix


def test_a_missing_folder(tmp_path: Path) -> None:
    (error,) = errors_of(tmp_path / "absent" / "parity.yml")
    assert "no folder" in error.fix


def test_a_folder(tmp_path: Path) -> None:
    (error,) = errors_of(tmp_path)
    assert "folder" in error.problem


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (error,) = errors_of(tmp_path / "pipe")
    assert "no regular file" in error.problem


def test_a_file_taken_for_a_folder(folder: SpecFolder) -> None:
    (error,) = errors_of(folder.root / "model.py" / "parity.yml")
    assert "can't be read: Not a directory" in error.problem


def test_a_file_of_10_mb_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    path = tmp_path / "large.yml"
    path.write_bytes(b"[" * 10_000_000)
    (error,) = errors_of(path)
    assert "9.5 MiB" in error.problem
    assert error.at == str(path)


def test_the_largest_file_that_is_read(folder: SpecFolder) -> None:
    path = folder.write(SOUND + "#" * (SIZE_LIMIT - len(SOUND)))
    assert load_spec(str(path)).spec.version == 1
    path.write_text(path.read_text() + "#")
    assert "1 MiB" in errors_of(path)[0].problem


def test_a_file_that_is_not_utf_8(tmp_path: Path) -> None:
    (tmp_path / "latin.yml").write_bytes("version: 1\n# Größe é: ".encode() + b"\xe9\n")
    (error,) = errors_of(tmp_path / "latin.yml")
    assert "not UTF-8" in error.problem
    assert place(error) == (2, 12)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_wider_encodings_are_refused(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "wide.yml").write_bytes(SOUND.encode(encoding))
    (error,) = errors_of(tmp_path / "wide.yml")
    assert "not UTF-8" in error.problem


def test_a_byte_order_mark_is_no_part_of_the_text(folder: SpecFolder) -> None:
    path = folder.root / "bom.yml"
    path.write_bytes(b"\xef\xbb\xbf" + SOUND.encode())
    assert read_text(str(path)) == SOUND
    assert load_spec(str(path)).spec.version == 1


@pytest.mark.parametrize(
    ("text", "kind"), [("- a\n- b\n", "a list"), ("version\n", "the text"), ("3", "number")]
)
def test_the_top_must_be_a_mapping(folder: SpecFolder, text: str, kind: str) -> None:
    (error,) = folder.errors(text)
    assert "expected a mapping" in error.problem
    assert kind in error.problem


def test_null_is_a_value_like_any_other_in_the_users_own_mappings(folder: SpecFolder) -> None:
    model = "model: {target: model.py:build, args: {a: null, b: [{c: ~}]}, config: {d: }}"
    spec = folder.load(SOUND.replace("model: {target: model.py:build}", model)).spec
    assert spec.model is not None
    assert spec.model.args == {"a": None, "b": [{"c": None}]}
    assert spec.model.config == {"d": None}


def test_null_is_none_in_what_is_merely_named_like_them(folder: SpecFolder) -> None:
    (error,) = folder.errors(f"{SOUND}tolerances: {{args: {{atol: }}}}\n")
    assert error.problem == "'atol' has no value"


def test_several_errors_are_one_exception_with_each_of_them(folder: SpecFolder) -> None:
    with pytest.raises(SpecErrors) as raised:
        folder.load(f"{SOUND}a: 1\nb: 2\n")
    assert raised.value.exit_code is ExitCode.WRONG_SPEC
    assert len(raised.value.errors) == 2
    assert all(type(error) is SpecError for error in raised.value.errors)
    assert "unknown key 'a'" in str(raised.value)
    assert "unknown key 'b'" in str(raised.value)


def test_anchors_and_merge_keys_serve_components(folder: SpecFolder) -> None:
    spec = folder.load(
        """\
version: 1
components:
  a:
    model: &model {target: model.py:build, checkpoint: weights.pth}
    onnx: model.onnx
    tolerances: &loose {"*": {atol: 1e-3}}
  b:
    model: {<<: *model, args: {n: 2}}
    onnx: model.onnx
    tolerances: *loose
pipeline: pipeline.py:run
inputs: {provider: data.py:samples}
"""
    ).spec
    assert spec.components is not None
    assert spec.components["b"].model.checkpoint == "weights.pth"
    assert spec.components["b"].tolerances["*"].atol == 1e-3
