#!/usr/bin/env python3
"""Writes the digests of the released images into action.yml, in place of tags that can move.

scripts/release/pin_images.py --image ghcr.io/OWNER/NAME --gpu sha256:... --cpu sha256:...
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

ACTION = Path(__file__).resolve().parents[2] / "action.yml"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_IMAGE = re.compile(r"[a-z0-9.-]+(:\d+)?(/[a-z0-9._-]+)+")


def pinned(text: str, image: str, digests: dict[str, str]) -> str:
    """The text of action.yml with ``IMAGE_GPU`` and ``IMAGE_CPU`` named by content.

    Raises:
        ValueError: the image, a digest, or action.yml is not what is expected.
    """
    image = image.lower()  # a repository's name may have capitals, an image's must not
    if not _IMAGE.fullmatch(image):
        raise ValueError(f"no name of an image: {image!r}")
    for runtime, digest in digests.items():
        if not _DIGEST.fullmatch(digest):
            raise ValueError(f"no digest of the {runtime} image: {digest!r}")
        text, count = re.subn(rf"(?m)^(\s+IMAGE_{runtime.upper()}: ).+$", rf"\g<1>{image}@{digest}", text)
        if count != 1:
            raise ValueError(f"action.yml has {count} lines of IMAGE_{runtime.upper()}, not one")
    return text


def main(arguments: list[str]) -> int:
    """Rewrites action.yml."""
    parser = argparse.ArgumentParser(description="Writes the images' digests into action.yml")
    for name in ("image", "gpu", "cpu"):
        parser.add_argument(f"--{name}", required=True)
    given = parser.parse_args(arguments)
    try:
        text = pinned(ACTION.read_text(encoding="utf-8"), given.image, {"gpu": given.gpu, "cpu": given.cpu})
    except ValueError as error:
        sys.stderr.write(f"pin_images: {error}\n")
        return 1
    ACTION.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
