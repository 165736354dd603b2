"""What the keys of `inputs.images` must agree on."""

from __future__ import annotations

from collections.abc import Iterator

from parity.spec.images import ImagesSpec
from parity.spec.messages import Finding
from parity.spec.places import Path


def check_images(path: Path, images: ImagesSpec) -> Iterator[Finding]:
    """What is wrong with images whose keys are right one by one."""
    channels = 1 if images.color == "gray" else 3
    for key in ("mean", "std"):
        values = getattr(images, key)
        if values is not None and len(values) != channels:
            problem = f"{key!r} has {len(values)} values, the image {channels} channels"
            yield Finding((*path, key), problem, "give one for each channel")
    if images.std is not None and not all(value > 0 for value in images.std):
        yield Finding((*path, "std"), "a deviation must be greater than 0", "for example [0.5, 0.5, 0.5]")
    for key in ("scale", "mean", "std"):
        if images.dtype == "uint8" and getattr(images, key) is not None:
            yield Finding(
                (*path, key), f"{key!r} makes fractions, which uint8 can't hold", "leave it out", True
            )
    for key in ("fit", "resample", "fill"):
        if images.size is None and key in images.model_fields_set:
            yield Finding((*path, key), f"{key!r} has no meaning without 'size'", "give a size", on_key=True)
    if images.size is not None and "fill" in images.model_fields_set and images.fit != "pad":
        yield Finding(
            (*path, "fill"), "'fill' has no meaning without `fit: pad`", "leave it out", on_key=True
        )
