from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.reference import unable

from parity.records.inputs import ImageInputs
from parity.worker.inputs.images import read_image

PIXELS = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)  # height 2, width 3


def image(path: Path, **fields: Any) -> ImageInputs:
    plain: dict[str, Any] = {
        "input": "x", "size": None, "fit": "stretch", "resample": "bilinear", "fill": 0, "color": "RGB",
        "layout": "HWC", "dtype": "uint8", "scale": 1.0, "mean": (), "std": (),
    }  # fmt: skip
    return ImageInputs(path=str(path), **{**plain, **fields})


def saved(root: Path, made: Image.Image, name: str = "a.png", **options: Any) -> Path:
    made.save(root / name, **options)
    return root / name


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return saved(tmp_path, Image.fromarray(PIXELS))


def test_pixels_arrive_as_they_are(path: Path) -> None:
    assert (read_image(image(path)) == PIXELS).all()
    assert (read_image(image(path, color="BGR")) == PIXELS[:, :, ::-1]).all()
    assert (read_image(image(path, layout="NCHW")) == PIXELS.transpose(2, 0, 1)[None]).all()
    assert read_image(image(path, layout="NHWC")).shape == (1, 2, 3, 3)
    assert read_image(image(path, color="gray", layout="CHW")).shape == (1, 2, 3)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_scale_mean_and_std_are_those_of_torchvision(path: Path, dtype: str) -> None:
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    found = read_image(image(path, dtype=dtype, scale=1 / 255, mean=mean, std=std))
    expected = (PIXELS / 255 - mean) / std
    assert found.dtype.name == dtype
    assert np.abs(found.astype(float) - expected).max() < (1e-6 if dtype in {"float32", "float64"} else 1e-2)


def test_gray_and_alpha_and_palettes_become_the_colour(tmp_path: Path) -> None:
    gray = saved(tmp_path, Image.fromarray(PIXELS[:, :, 0]), "gray.png")
    assert (read_image(image(gray)) == PIXELS[:, :, :1]).all()
    alpha = np.dstack([PIXELS, np.full((2, 3), 7, np.uint8)])
    assert (read_image(image(saved(tmp_path, Image.fromarray(alpha), "alpha.png"))) == PIXELS).all()
    palette = Image.fromarray(PIXELS).quantize(8)
    path = saved(tmp_path, palette, "palette.png", transparency=0)
    assert (read_image(image(path)) == np.asarray(palette.convert("RGB"))).all()
    bits = saved(tmp_path, Image.fromarray(PIXELS[:, :, 0] > 5), "bits.png")
    assert set(np.unique(read_image(image(bits, color="gray")))) == {0, 255}


def test_the_orientation_of_a_camera_is_followed(tmp_path: Path) -> None:
    made = Image.fromarray(PIXELS)
    exif = made.getexif()
    exif[0x0112] = 6  # the camera was turned: rotate by 270 degrees
    path = saved(tmp_path, made, exif=exif)
    assert (read_image(image(path)) == np.rot90(PIXELS, -1)).all()


@pytest.mark.parametrize(
    ("fit", "row"),
    [
        ("stretch", [0, 0, 100, 100, 200, 200]),
        ("crop", [100, 100, 100, 100, 100, 100]),
        ("pad", [9, 9, 9, 9, 9, 9]),
    ],
)
def test_how_an_image_gets_to_its_size(tmp_path: Path, fit: str, row: list[int]) -> None:
    wide = np.repeat(np.array([[0, 0, 100, 100, 200, 200]], np.uint8), 2, axis=0)
    path = saved(tmp_path, Image.fromarray(wide))
    size = (6, 6)
    found = read_image(
        image(path, size=size, fit=fit, fill=9, resample="nearest", color="gray", layout="HWC")
    )
    assert found.shape == (6, 6, 1)
    assert list(found[0, :, 0]) == row


def test_what_shrinks_is_smoothed_and_the_same_again(tmp_path: Path) -> None:
    board = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)
    path = saved(tmp_path, Image.fromarray(board))
    for resample in ("box", "bilinear", "bicubic", "lanczos"):
        one, two = (read_image(image(path, size=(16, 16), resample=resample)) for _ in range(2))
        assert (one == two).all()
        assert np.abs(one[4:-4, 4:-4].astype(int) - 127).max() <= 2, resample


def deep(root: Path) -> Path:
    return saved(root, Image.fromarray(np.full((2, 2), 40_000, np.uint16)))


def cut(root: Path) -> Path:
    path = saved(root, Image.effect_noise((64, 64), 50))
    path.write_bytes(path.read_bytes()[:200])
    return path


def text(root: Path) -> Path:
    (root / "a.png").write_text("no image")
    return root / "a.png"


@pytest.mark.parametrize(
    ("make", "said"), [(deep, "of mode I;16"), (cut, "can't be read"), (text, "can't be read")]
)
def test_what_is_no_image_is_named(tmp_path: Path, make: Any, said: str) -> None:
    error = unable(lambda: read_image(image(make(tmp_path))))
    assert error.reason == "input"
    assert said in error.problem


def test_without_pillow_it_says_how_to_get_it(path: Path) -> None:
    code = (
        "import sys; sys.modules['PIL'] = None\n"
        "from parity.worker.inputs.images import read_image\n"
        "from parity.worker.problems import Unable\n"
        "from parity.records.inputs import ImageInputs\n"
        "import msgspec\n"
        "source = msgspec.json.decode(sys.argv[1], type=ImageInputs)\n"
        "try: read_image(source)\n"
        "except Unable as error: print(error.problem, error.fix)\n"
    )
    import msgspec

    source = msgspec.json.encode(image(path)).decode()
    done = subprocess.run(
        [sys.executable, "-c", code, source], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.startswith("images need Pillow")
    assert "onnx-parity-action[images]" in done.stdout
