"""A loaded specification -> the plan that execution and judging follow: all resolved, nothing symbolic."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path as FilePath

from msgspec.structs import replace

from parity.comparisons import comparisons_of
from parity.records.inputs import FileInputs, GeneratedInputs, ImageInputs, InputSource
from parity.records.jobs import MODEL, PIPELINE, ComponentJob, ExportJob, ModelJob, Numerics
from parity.records.loops import LoopJob
from parity.records.measurements import Tolerance
from parity.records.plan import (
    SAVE_IN_REPORTS,
    BaselinePlan,
    LatencyPlan,
    Limits,
    PlannedSet,
    ProviderPlan,
    SuitePlan,
)
from parity.registry import INPUT_FORMATS
from parity.spec import distributions, numerics
from parity.spec.files import matching_files
from parity.spec.images import IMAGE_FORMATS, ImagesSpec
from parity.spec.inputs import InputsSpec
from parity.spec.loading import LoadedSpec, base_of
from parity.spec.models import ComponentSpec, ExportSpec, ModelSpec
from parity.spec.places import Path, Places
from parity.spec.schema import Spec
from parity.spec.settings import PerformanceSpec
from parity.spec.tolerances import ToleranceSpec

RUNS_OF_A_LIMIT = 15  # four of them may be slowed down, and the bound of the ratio still tells
_NAME_LIMIT = 100  # characters of an input set's name: it names a folder


def plan(loaded: LoadedSpec, devices: tuple[str, ...] | None = None) -> SuitePlan:
    """What one specification asks for.

    Args:
        loaded: a valid specification.
        devices: instead of the specification's own, as the command line gives them.

    Raises:
        SpecError: `devices` can't be had; see `comparisons_of`.
    """
    spec, places = loaded
    base = base_of(places.file)
    numerics_name, settings = numerics.resolve(spec.numerics)
    saved = spec.model is not None and spec.model.saved
    return SuitePlan(
        name=spec.name or suite_name(places.file),
        spec_file=places.file,
        base_dir=str(base),
        components=tuple(_components(spec, base, settings)),
        pipeline=spec.pipeline,
        comparisons=comparisons_of(spec, places, base, devices),
        inputs=_inputs(spec.inputs, base),
        numerics_name=numerics_name,
        numerics=settings,
        tolerances=_tolerances(spec, places),
        limits=Limits(
            timeout_s=spec.limits.timeout, memory_bytes=spec.limits.memory, repro_bytes=spec.limits.repro
        ),
        latency=_latency(spec.performance),
        places=places.dotted(),
        diagnose="never" if saved else spec.diagnose,
        baseline=_baseline(spec, base),
        placement=spec.placement,
        save_optimized=_saved(spec.onnxruntime.save_optimized, base),
    )


def _latency(performance: PerformanceSpec) -> LatencyPlan:
    """More runs by default where a limit is judged by them: noise is to be told from it."""
    plan = LatencyPlan(**performance.model_dump())
    unsaid = "runs" not in performance.model_fields_set
    return replace(plan, runs=RUNS_OF_A_LIMIT) if plan.is_judged and unsaid else plan


def suite_name(spec_file: str) -> str:
    """The name of a specification that gives none: its file's; its folder's where the file is parity.yml."""
    file = FilePath(spec_file).absolute()
    return _safe(file.parent.name if file.stem == "parity" else file.stem) or "suite"


def _saved(given: bool | str, base: FilePath) -> str | None:
    if isinstance(given, str):
        return str(base / given)
    return SAVE_IN_REPORTS if given else None


def _components(spec: Spec, base: FilePath, settings: Numerics) -> Iterator[ComponentJob]:
    if spec.components is None:
        assert spec.onnx is not None
        whole = ComponentSpec(model=spec.model, onnx=spec.onnx, outputs=spec.outputs, loop=spec.loop)
        yield _component(MODEL, whole, base, settings)
        return
    for name, component in spec.components.items():
        yield _component(name, component, base, settings)


def _component(name: str, component: ComponentSpec, base: FilePath, settings: Numerics) -> ComponentJob:
    onnx, loop = component.onnx, component.loop
    return ComponentJob(
        name=name,
        model=_model(component.model, base) if component.model is not None else None,
        onnx=str(base / onnx.path),
        export=_export(onnx.export, settings) if onnx.export is not None else None,
        outputs=dict(component.outputs or {}),
        loop=LoopJob(**loop.model_dump()) if loop is not None else None,
    )


def _model(model: ModelSpec, base: FilePath) -> ModelJob:
    return ModelJob(
        loader=model.loader,
        target=model.target,
        config=str(base / model.config) if isinstance(model.config, str) else model.config,
        args=model.args,
        checkpoint=str(base / model.checkpoint) if model.checkpoint is not None else None,
        checkpoint_key=model.checkpoint_key,
    )


def _export(export: ExportSpec, settings: Numerics) -> ExportJob:
    folding = export.constant_folding
    return ExportJob(
        exporter=export.exporter,
        opset=export.opset,
        constant_folding=settings.constant_folding if folding is None else folding,
        dynamic_shapes=export.dynamic_shapes,
    )


def _baseline(spec: Spec, base: FilePath) -> BaselinePlan | None:
    """Without its figures, which need not be there when the run is to write them."""
    asked = spec.baseline
    if asked is None:
        return None
    return BaselinePlan(
        file=asked.path, path=str(base / asked.path), max_growth=asked.max_growth, fail=asked.fail
    )


def _inputs(inputs: InputsSpec, base: FilePath) -> tuple[PlannedSet, ...] | ProviderPlan:
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
    patterns: Sequence[str], base: FilePath, source: Callable[[str], InputSource]
) -> Iterator[PlannedSet]:
    files = list(dict.fromkeys(file for pattern in patterns for file in matching_files(pattern, base)))
    for name, file in zip(_file_ids(files, base), files, strict=True):
        yield PlannedSet(id=name, source=source(file))


def _file_ids(files: Sequence[str], base: FilePath) -> list[str]:
    """A name for each file: its stem, or where several have the same its whole relative path."""
    stems = [_safe(_stem(FilePath(file))) for file in files]
    counts = Counter(stems)
    names: list[str] = []
    for file, stem in zip(files, stems, strict=True):
        name = stem
        if counts[stem] > 1 or not stem:
            path = FilePath(file)
            name = _safe(str(path.relative_to(base) if path.is_relative_to(base) else path)) or "file"
        if len(name) > _NAME_LIMIT or name in names:
            name = f"{name[:_NAME_LIMIT]}-{hashlib.sha256(file.encode()).hexdigest()[:8]}"
        names.append(name)
    return names


def _stem(path: FilePath) -> str:
    """Without the ending; the name of a data set's folder, which has none, as a whole."""
    known = path.suffix in INPUT_FORMATS or path.suffix.lower() in IMAGE_FORMATS
    return path.stem if known else path.name


def _safe(text: str) -> str:
    """Text with nothing in it that a folder's name or a case's id could not hold."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", text).strip("._-")


def _tolerances(spec: Spec, places: Places) -> dict[str, tuple[Tolerance, ...]]:
    if spec.components is None:
        return {MODEL: tuple(_rules(("tolerances",), spec.tolerances, places))}
    of_components = {
        name: tuple(_rules(("components", name, "tolerances"), component.tolerances, places))
        for name, component in spec.components.items()
    }
    return {**of_components, PIPELINE: tuple(_rules(("tolerances",), spec.tolerances, places))}


def _rules(path: Path, tolerances: Mapping[str, ToleranceSpec], places: Places) -> Iterator[Tolerance]:
    for pattern, given in tolerances.items():
        place = places.find((*path, pattern))
        criteria = given.model_dump(exclude_none=True)
        yield Tolerance(
            pattern=pattern,
            line=place.line if place else None,
            column=place.column if place else None,
            **criteria,
        )
