"""What `inputs` asks for -> input sets, each with the name that it has in every run."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from parity.records.inputs import FileInputs, GeneratedInputs, ImageInputs, InputSource
from parity.records.plan import PlannedSet, ProviderPlan
from parity.registry import INPUT_FORMATS
from parity.spec import distributions
from parity.spec.files import matching_files
from parity.spec.images import IMAGE_FORMATS, ImagesSpec
from parity.spec.inputs import InputsSpec

_NAME_LIMIT = 100  # characters of an input set's name: it names a folder


def input_sets(inputs: InputsSpec, base: Path) -> tuple[PlannedSet, ...] | ProviderPlan:
    """The input sets of a suite in their order; those of a provider are known when it is asked."""
    if inputs.provider is not None:
        return ProviderPlan(target=inputs.provider, samples=inputs.samples)
    if inputs.files is not None:
        return tuple(_from_files(inputs.files, base, lambda path: FileInputs(path=path)))
    if inputs.images is not None:
        return tuple(_from_files(inputs.images.files, base, partial(_image, inputs.images)))
    return tuple(_generated(inputs))


def _generated(inputs: InputsSpec) -> Iterator[PlannedSet]:
    """One set for each combination of dims and each sample: ``batch=1,n=20000,sample=0``."""
    assert inputs.tensors is not None
    for sizes in itertools.product(*inputs.dims.values()):
        dims = dict(zip(inputs.dims, sizes, strict=True))
        tensors = tuple(distributions.resolve(name, tensor, dims) for name, tensor in inputs.tensors.items())
        for sample in range(inputs.samples or 1):
            name = ",".join(f"{key}={size}" for key, size in {**dims, "sample": sample}.items())
            yield PlannedSet(id=name, source=GeneratedInputs(tensors=tensors, seed=_seed(inputs.seed, name)))


def _seed(seed: int, name: str) -> tuple[int, ...]:
    """Entropy of one set. It comes from the set's own name, so that no other set changes what is drawn."""
    return (seed, int.from_bytes(hashlib.sha256(name.encode()).digest()[:6]))


def _image(images: ImagesSpec, path: str) -> ImageInputs:
    height_and_width = images.size
    return ImageInputs(
        path=path,
        input=images.input,
        size=(height_and_width[0], height_and_width[1]) if height_and_width else None,
        fit=images.fit,
        resample=images.resample,
        fill=images.fill,
        color=images.color,
        layout=images.layout,
        dtype=images.dtype,
        scale=1 / 255 if images.scale is None else images.scale,
        mean=images.mean or (),
        std=images.std or (),
    )


def _from_files(
    patterns: Sequence[str], base: Path, source: Callable[[str], InputSource]
) -> Iterator[PlannedSet]:
    files = list(dict.fromkeys(file for pattern in patterns for file in matching_files(pattern, base)))
    for name, file in zip(_file_ids(files, base), files, strict=True):
        yield PlannedSet(id=name, source=source(file))


def _file_ids(files: Sequence[str], base: Path) -> list[str]:
    """A name for each file: its stem, or where several have the same its whole relative path."""
    stems = [safe_name(_stem(Path(file))) for file in files]
    counts = Counter(stems)
    names: list[str] = []
    for file, stem in zip(files, stems, strict=True):
        name = stem
        if counts[stem] > 1 or not stem:
            path = Path(file)
            name = safe_name(str(path.relative_to(base) if path.is_relative_to(base) else path)) or "file"
        if len(name) > _NAME_LIMIT or name in names:
            name = f"{name[:_NAME_LIMIT]}-{hashlib.sha256(file.encode()).hexdigest()[:8]}"
        names.append(name)
    return names


def _stem(path: Path) -> str:
    """Without the ending; the name of a data set's folder, which has none, as a whole."""
    known = path.suffix in INPUT_FORMATS or path.suffix.lower() in IMAGE_FORMATS
    return path.stem if known else path.name


def safe_name(text: str) -> str:
    """Text with nothing in it that a folder's name or a case's id could not hold."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", text).strip("._-")
