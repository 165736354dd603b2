"""Where the tensors of an input set come from: drawn, read from a file, or made of an image."""

from __future__ import annotations

from typing import Literal

from .tensors import Record

DistributionName = Literal[
    "normal", "uniform", "integers", "constant", "zeros", "ones",
    "mask", "positions", "lengths", "arange", "permutation", "one_hot", "offsets", "choice", "boxes",
]  # fmt: skip


class Padding(Record):
    """What a tensor has where a mask, whose axes are its first ones, is zero."""

    mask: str  # the name of a tensor of the distribution `mask`
    value: float


class Distribution(Record):
    """One generated tensor; `shape` is concrete here, the symbolic dimensions already bound."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    distribution: DistributionName
    mean: float = 0.0
    std: float = 1.0
    low: float = 0.0  # uniform: [low, high); integers: low <= value < high; arange: the first
    high: float = 1.0  # offsets: the greatest
    value: float = 0.0  # constant
    values: tuple[float, ...] = ()  # choice
    min_length: int = 1  # mask: of the ones in a row
    max_length: int | None = None  # None: the whole row
    pad: Literal["right", "left"] = "right"
    of: str = ""  # positions, lengths: the mask that they follow
    sparsity: float = 0.0  # share of elements set to zero
    sorted: bool = False  # ascending along the last axis
    unique: bool = False  # no value twice along the last axis
    padding: Padding | None = None


class GeneratedInputs(Record, tag="generated"):
    tensors: tuple[Distribution, ...]
    seed: tuple[int, ...]  # entropy for numpy.random.SeedSequence; each tensor spawns from it by name


class FileInputs(Record, tag="files"):
    path: str  # .npz .npy .pt .pb, or the folder of a data set


class ImageInputs(Record, tag="image"):
    """One image file; `parity.worker.inputs.images` says in which order it is prepared."""

    path: str
    input: str
    size: tuple[int, int] | None  # height, width
    fit: Literal["stretch", "crop", "pad"]
    resample: Literal["nearest", "box", "bilinear", "bicubic", "lanczos"]
    fill: int
    color: Literal["RGB", "BGR", "gray"]
    layout: Literal["NCHW", "NHWC", "CHW", "HWC"]
    dtype: str
    scale: float
    mean: tuple[float, ...]  # empty: 0
    std: tuple[float, ...]  # empty: 1


InputSource = GeneratedInputs | FileInputs | ImageInputs
