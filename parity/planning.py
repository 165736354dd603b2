"""A loaded specification -> the plan that execution and judging follow: all resolved, nothing symbolic."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path as FilePath

from msgspec.structs import replace

from parity.comparisons import comparisons_of
from parity.input_sets import input_sets, safe_name
from parity.records.jobs import MODEL, PIPELINE, ComponentJob, ExportJob, ModelJob, Numerics
from parity.records.loops import LoopJob
from parity.records.measurements import Tolerance
from parity.records.plan import (
    SAVE_IN_REPORTS,
    BaselinePlan,
    LatencyPlan,
    Limits,
    SuitePlan,
)
from parity.spec import numerics
from parity.spec.loading import LoadedSpec, base_of
from parity.spec.models import ComponentSpec, ExportSpec, ModelSpec
from parity.spec.places import Path, Places
from parity.spec.schema import Spec
from parity.spec.settings import PerformanceSpec
from parity.spec.tolerances import ToleranceSpec

RUNS_OF_A_LIMIT = 15  # four of them may be slowed down, and the bound of the ratio still tells


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
        inputs=input_sets(spec.inputs, base),
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
    return safe_name(file.parent.name if file.stem == "parity" else file.stem) or "suite"


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
