"""The chain: pillars through the encoder, scattered on the canvas, through backbone and head."""

from __future__ import annotations

from collections.abc import Iterator

import torch

SIZE = 32  # cells of the canvas along y and along x


def run(stages, inputs):
    (features,) = stages["voxel_encoder"](inputs["features"]).values()
    canvas = features.new_zeros(features.shape[1], SIZE * SIZE)
    canvas[:, inputs["cells"]] = features.T
    return stages["backbone_head"](canvas.reshape(1, -1, SIZE, SIZE))


def clouds() -> Iterator[dict[str, torch.Tensor]]:
    """Two sets of pillars: their points, and the cell of each."""
    for seed, pillars in enumerate((200, 350)):
        generator = torch.Generator().manual_seed(seed)
        yield {
            "features": torch.randn(pillars, 8, 5, generator=generator),
            "cells": torch.randperm(SIZE * SIZE, generator=generator)[:pillars],
        }
