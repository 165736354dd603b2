"""What a reference that is saved outputs asks of the other keys."""

from __future__ import annotations

import pytest
from support.specs import SOUND, SpecFolder

SAVED = SOUND.replace("{target: model.py:build}", "{loader: saved-outputs}")
FILES = SAVED.replace("tensors:\n    x: {shape: [2, 4]}", "files: set_*")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (SAVED, "outputs that were saved need 'files'"),
        (FILES.replace("saved-outputs", "saved-outputs, target: model.py:build"), "'target' has no meaning"),
        (FILES.replace("model.onnx", "{path: model.onnx, export: {}}"), "no module to export"),
        (FILES + "diagnose: always\n", "can't be diagnosed"),
        (FILES + "tolerances: {'*': {noise_factor: 3}}\n", "have no noise floor"),
        (SOUND.replace("{target: model.py:build}", "{args: {}}"), "'target' is missing"),
    ],
)
def test_what_contradicts_a_saved_reference_is_an_error(folder: SpecFolder, text: str, problem: str) -> None:
    (folder.root / "set_0").mkdir()
    (folder.root / "set_0" / "input_0.pb").touch()
    (error,) = folder.errors(text)
    assert problem in error.problem
    assert error.fix


def test_a_single_tensor_of_a_data_set_is_no_input_set(folder: SpecFolder) -> None:
    (folder.root / "set_0").mkdir()
    (folder.root / "set_0" / "input_0.pb").touch()
    (error,) = folder.errors(FILES.replace("set_*", "set_0/*.pb"))
    assert "one tensor of a data set" in error.problem
    assert "'set_0'" in error.fix
