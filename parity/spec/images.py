"""The part of the schema about image files as inputs."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from parity.spec.fields import SpecModel, Text, Texts
from parity.spec.refusing import wrong

IMAGE_FORMATS = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
_FRACTION = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?/ ?([0-9]+(?:\.[0-9]+)?)")


def _fraction(value: object) -> object:
    """``1/255`` as a number."""
    if not isinstance(value, str):
        return value
    found = _FRACTION.fullmatch(value)
    if not found or float(found[2]) == 0:
        raise wrong(f"{value!r} is no number", "write a number or a fraction, such as 1/255")
    return float(found[1]) / float(found[2])


def _two(value: tuple[int, ...]) -> tuple[int, ...]:
    if len(value) != 2:
        raise wrong(f"expected two sizes, not {len(value)}", "write height and width, such as [480, 640]")
    return value


Scale = Annotated[float, Field(gt=0), BeforeValidator(_fraction, json_schema_input_type=float | str)]
Channels = Annotated[tuple[float, ...], Field(min_length=1, max_length=3)]
Pixels = Annotated[int, Field(ge=1, le=2**16)]


class ImagesSpec(SpecModel):
    """Image files as inputs: each is an input set with one tensor. Needs Pillow."""

    files: Texts = Field(
        description="A file or pattern, or a list of them: " + " ".join(IMAGE_FORMATS) + ".",
        examples=["images/*.jpg"],
    )
    input: Text = Field(description="The name of the ONNX input.", examples=["x"])
    size: Annotated[tuple[Pixels, ...], AfterValidator(_two)] | None = Field(
        None, description="Height and width; the image's own otherwise.", examples=[[480, 640]]
    )
    fit: Literal["stretch", "crop", "pad"] = Field(
        "stretch",
        description="How an image of another shape gets there: stretched, its middle cut out, or padded.",
        examples=["stretch"],
    )
    resample: Literal["nearest", "box", "bilinear", "bicubic", "lanczos"] = Field(
        "bilinear", description="Pillow's filter; all but nearest smooth what shrinks.", examples=["bilinear"]
    )
    fill: Annotated[int, Field(ge=0, le=255)] = Field(
        0, description="fit pad: the value around the image, before `scale`.", examples=[114]
    )
    color: Literal["RGB", "BGR", "gray"] = Field(
        "RGB", description="Channels, whatever the file has; an alpha channel is dropped.", examples=["RGB"]
    )
    layout: Literal["NCHW", "NHWC", "CHW", "HWC"] = Field(
        "NCHW", description="Order of the axes; N is 1.", examples=["NCHW"]
    )
    dtype: Literal["uint8", "float16", "bfloat16", "float32", "float64"] = Field(
        "float32", description="uint8 takes the pixels as they are.", examples=["float32"]
    )
    scale: Scale | None = Field(
        None,
        description="What a pixel of 0 to 255 is multiplied by: a number or a fraction; 1/255 otherwise.",
        examples=["1/255"],
    )
    mean: Channels | None = Field(
        None,
        description="Subtracted after that, one for each channel in the order of `color`.",
        examples=[[0.485, 0.456, 0.406]],
    )
    std: Channels | None = Field(
        None, description="Divided by at last, one for each channel.", examples=[[0.229, 0.224, 0.225]]
    )
