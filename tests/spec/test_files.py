"""The files that a specification names."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.specs import SOUND, SpecFolder, place

from parity import registry
from parity.spec.files import matching_files

# text that is replaced in the sound specification, what by, (line, column), problem, fix
MISSING = {
    "target": ("model.py:", "modle.py:", (2, 17), "no file 'modle.py'", "did you mean 'model.py'?"),
    "config": ("build}", "build, config: a.yaml}", (2, 41), "no file 'a.yaml'", "relative"),
    "near-config": ("build}", "build, config: confg.yaml}", (2, 41), "no file", "'config.yaml'?"),
    "checkpoint": ("build}", "build, checkpoint: w.pth}", (2, 45), "no file 'w.pth'", "relative"),
    "checkpoint-kind": ("build}", "build, checkpoint: w.bin}", (2, 45), "is no checkpoint", ".safetensors"),
    "onnx": ("model.onnx", "build/model.onnx", (3, 7), "no file 'build/model.onnx'", "export"),
    "onnx-path": ("model.onnx", "{path: absent.onnx}", (3, 14), "no file 'absent.onnx'", "export"),
    "onnx-folder": ("model.onnx", "folder", (3, 7), "'folder' is a folder", "name a file"),
    "config-folder": ("build}", "build, config: folder}", (2, 41), "'folder' is a folder", "name a file"),
    "export-folder": ("model.onnx", "{path: folder, export: {}}", (3, 14), "'folder' is a folder", "file"),
    "library": ("onnx:", "onnxruntime: {custom_ops: [a:b, o.so]}\nonnx:", (3, 33), "no file 'o.so'", ""),
    "library-target": ("onnx:", "onnxruntime: {custom_ops: o.py:f}\nonnx:", (3, 27), "no file 'o.py'", ""),
    "too-long": ("model.onnx", f"{'x' * 5000}.onnx", (3, 7), "there is no file", "export"),
    "empty-path": ("model.onnx", "''", (3, 7), "must not be empty", "onnx"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISSING)
def test_a_missing_file_is_one_readable_error(folder: SpecFolder, name: str) -> None:
    (folder.root / "folder").mkdir()
    old, new, at, problem, fix = MISSING[name]
    (error,) = folder.errors(SOUND.replace(old, new))
    assert problem in error.problem
    assert fix in error.fix
    assert place(error) == at


@pytest.mark.parametrize(
    ("inputs", "at", "problem"),
    [
        ("files: samples/*.npz", (5, 10), "no file matches 'samples/*.npz'"),
        ("files: [data/*.npz, samples/*.npz]", (5, 23), "no file matches 'samples/*.npz'"),
        ("files: data/*", (5, 10), "'notes.txt' is no file of inputs"),
        ("files: data", (5, 10), "no file matches 'data'"),
        ("files: .", (5, 10), "no file matches '.'"),
        ("provider: absent.py:f", (5, 13), "no file 'absent.py'"),
    ],
)
def test_inputs_that_are_not_there(
    folder: SpecFolder, inputs: str, at: tuple[int, int], problem: str
) -> None:
    (folder.root / "data").mkdir()
    for name in ("a.npz", "notes.txt"):
        (folder.root / "data" / name).touch()
    (error,) = folder.errors(SOUND.replace("tensors:\n    x: {shape: [2, 4]}", inputs))
    assert problem in error.problem
    assert place(error) == at


def test_a_missing_file_of_a_pipeline(folder: SpecFolder) -> None:
    component = "{model: {target: absent.py:f}, onnx: absent.onnx}"
    rest = "pipeline: absent.py:run\ninputs: {provider: data.py:f}\n"
    errors = folder.errors(f"version: 1\ncomponents:\n  a: {component}\n{rest}")
    assert [place(error) for error in errors] == [(3, 23), (3, 43), (4, 11)]


def test_an_onnx_file_that_is_exported_need_not_be_there(folder: SpecFolder) -> None:
    spec = folder.load(SOUND.replace("model.onnx", "{path: build/later.onnx, export: {}}")).spec
    assert spec.onnx is not None
    assert spec.onnx.export is not None


def test_a_target_in_a_package_is_not_looked_for(folder: SpecFolder) -> None:
    assert folder.load(SOUND.replace("model.py:build", "some.package:build.it")).spec.model


@pytest.mark.parametrize("ending", registry.INPUT_FORMATS)
def test_every_registered_format_of_inputs_is_taken(folder: SpecFolder, ending: str) -> None:
    (folder.root / f"a{ending}").touch()
    text = SOUND.replace("tensors:\n    x: {shape: [2, 4]}", f"files: '*{ending}'")
    assert folder.load(text).spec.inputs.files == (f"*{ending}",)


def test_patterns_are_sorted_recursive_and_literal_first(tmp_path: Path) -> None:
    for name in ("b.npz", "a.npz", "[a].npz", "deep/er/c.npz"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()

    def found(pattern: str) -> list[str]:
        return [str(Path(path).relative_to(tmp_path)) for path in matching_files(pattern, tmp_path)]

    assert found("[ab].npz") == ["a.npz", "b.npz"]
    assert found("[a].npz") == ["[a].npz"]
    assert found("**/*.npz") == ["[a].npz", "a.npz", "b.npz", "deep/er/c.npz"]
    assert found(str(tmp_path / "a.npz")) == ["a.npz"]
    assert found(str(tmp_path / "*" / "er" / "*.npz")) == ["deep/er/c.npz"]
