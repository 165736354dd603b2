"""Image files in a specification."""

from __future__ import annotations

import pytest
from support.specs import SOUND, SpecFolder

from parity.planning import plan
from parity.records.inputs import ImageInputs

TEXT = SOUND.replace(
    "tensors:\n    x: {shape: [2, 4]}",
    "images: {files: 'pictures/*', input: x, size: [4, 6], fit: pad, fill: 9, scale: 1/128, mean: [1, 2, 3]}",
)


@pytest.fixture
def pictures(folder: SpecFolder) -> SpecFolder:
    (folder.root / "pictures").mkdir()
    for name in ("a.png", "b.JPG", "c.v2.jpeg"):
        (folder.root / "pictures" / name).touch()
    return folder


def test_each_image_is_an_input_set(pictures: SpecFolder) -> None:
    sets = plan(pictures.load(TEXT)).inputs
    assert isinstance(sets, tuple)
    assert [one.id for one in sets] == ["a", "b", "c.v2"]
    assert sets[0].source == ImageInputs(
        path=str(pictures.root / "pictures" / "a.png"), input="x", size=(4, 6), fit="pad", fill=9,
        resample="bilinear", color="RGB", layout="NCHW", dtype="float32", scale=1 / 128, mean=(1, 2, 3),
        std=(),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("mean: [1, 2, 3]", "mean: [1]", "'mean' has 1 values, the image 3 channels"),
        ("mean: [1, 2, 3]", "color: gray, std: [1, 2]", "'std' has 2 values, the image 1 channels"),
        ("mean: [1, 2, 3]", "std: [1, 0, 1]", "must be greater than 0"),
        ("1/128", "1/0", "'1/0' is no number"),
        ("1/128", "a/b", "'a/b' is no number"),
        ("1/128", "-1", "greater than 0"),
        ("scale: 1/128, mean: [1, 2, 3]", "dtype: uint8, mean: [1, 2, 3]", "uint8 can't hold"),
        ("size: [4, 6], fit: pad, fill: 9, ", "fit: pad, ", "'fit' has no meaning without 'size'"),
        ("fit: pad", "fit: crop", "'fill' has no meaning"),
        ("[4, 6]", "[4, 0]", "at least 1"),
        ("[4, 6]", "[4]", "expected two sizes"),
        ("fit: pad", "fit: letterbox", "stretch, crop or pad"),
        ("'pictures/*'", "'photos/*'", "no file matches 'photos/*'"),
        ("'pictures/*'", "model.py", "'model.py' is no image"),
        ("input: x, ", "", "'input' is missing"),
    ],
)
def test_what_does_not_agree_is_one_readable_error(
    pictures: SpecFolder, old: str, new: str, problem: str
) -> None:
    assert old in TEXT
    (error,) = pictures.errors(TEXT.replace(old, new))
    assert problem in error.problem, error.problem
    assert error.fix
