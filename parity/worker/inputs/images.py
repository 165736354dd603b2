"""One image file as one input set, prepared as the specification says. Needs Pillow.

In this order: turned upright as its EXIF orientation says, to the colour (an alpha channel is dropped),
resized, `(value * scale - mean) / std` in float32, channels and batch axis as the layout has them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from parity.artifacts import Array, numpy_dtype
from parity.records.inputs import ImageInputs
from parity.worker.problems import Unable

if TYPE_CHECKING:
    from PIL.Image import Image

# Modes of Pillow that hold 8 bits, or less, of a channel. The others would be cut off without a word.
_MODES = frozenset(["1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr"])


def read_image(source: ImageInputs) -> Array:
    """The prepared image.

    Raises:
        Unable: ``input``; Pillow is missing, the file is damaged or holds more than 8 bits of a channel.
    """
    image = _fitted(_opened(Path(source.path), source), source)
    pixels = np.asarray(image)
    if source.color == "gray":
        pixels = pixels[:, :, None]
    elif source.color == "BGR":
        pixels = pixels[:, :, ::-1]
    return _laid_out(_scaled(pixels, source), source.layout)


def _opened(path: Path, source: ImageInputs) -> Image:
    try:
        from PIL import Image, ImageOps
    except ImportError as error:
        raise Unable(
            "input",
            f"images need Pillow, which can't be imported: {error}",
            fix="pip install 'onnx-parity-action[images]'; in the container by a requirements file",
        ) from error
    try:
        with Image.open(path) as file:
            if file.mode not in _MODES:
                raise Unable(
                    "input",
                    f"{path.name} is of mode {file.mode}, which is no image of 8 bits a channel",
                    fix="save it with 8 bits a channel, or prepare it in a provider",
                )
            upright: Image.Image = ImageOps.exif_transpose(file)
            # A palette may have transparent entries, which only RGBA knows.
            whole = upright.convert("RGBA") if upright.mode in {"P", "PA"} else upright
            return whole.convert("L" if source.color == "gray" else "RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise Unable(
            "input", f"the image {path.name} can't be read: {error}", fix="check that it is whole"
        ) from error


def _fitted(image: Image, source: ImageInputs) -> Image:
    """The image at the size that is asked for, if one is."""
    if source.size is None:
        return image
    from PIL import Image, ImageOps

    height, width = source.size
    method = Image.Resampling[source.resample.upper()]
    match source.fit:
        case "stretch":
            return image.resize((width, height), method)
        case "crop":
            return ImageOps.fit(image, (width, height), method)
        case _:
            fill: Any = source.fill if source.color == "gray" else (source.fill,) * 3
            return ImageOps.pad(image, (width, height), method, color=fill)


def _scaled(pixels: Array, source: ImageInputs) -> Array:
    if source.dtype == "uint8":
        return pixels
    values = pixels.astype(np.float32) * np.float32(source.scale)
    if source.mean:
        values -= np.asarray(source.mean, np.float32)
    if source.std:
        values /= np.asarray(source.std, np.float32)
    return values.astype(numpy_dtype(source.dtype))


def _laid_out(pixels: Array, layout: str) -> Array:
    """From height, width, channels to the layout."""
    ordered = pixels if layout.endswith("HWC") else pixels.transpose(2, 0, 1)
    return ordered[None] if layout.startswith("N") else ordered
