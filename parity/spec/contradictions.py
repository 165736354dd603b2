"""What several keys of a specification must agree on. Each check yields what it finds wrong, and where."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from parity.records.jobs import MODEL, PIPELINE
from parity.spec.generated import check_generated
from parity.spec.image_checks import check_images
from parity.spec.inputs import InputsSpec
from parity.spec.loops import check_loop
from parity.spec.messages import Finding
from parity.spec.models import ComponentSpec, OnnxSpec
from parity.spec.places import Path
from parity.spec.references import check_references
from parity.spec.schema import Spec
from parity.spec.settings import PerformanceSpec
from parity.spec.side_checks import check_comparisons, needs_torch
from parity.spec.tolerances import ToleranceSpec

RUNS_TO_JUDGE = 5  # with fewer no ratio can be told from noise, see judging.performance
_MATCHING = ("match", "axis", "together", "margin", "optional_below", "score_column")  # beside any criterion
_BOUNDS = {"atol", "rtol", "max_abs", "exact", "mismatch"}

Findings = Iterator[Finding]


def contradictions(spec: Spec) -> Findings:
    """Everything in `spec` that contradicts something else in it."""
    yield from _subjects(spec)
    for name, component in (spec.components or {}).items():
        yield from _component(("components", name), name, component, modules=needs_torch(spec))
    yield from check_references(spec)
    yield from _exports(spec)
    yield from _inputs(spec.inputs)
    yield from _devices(spec.devices)
    yield from check_comparisons(spec)
    yield from _tolerances(("tolerances",), spec.tolerances)
    yield from _performance(spec.performance)
    yield from _optimization(spec)
    if spec.loop is not None and spec.components is None:
        yield from check_loop(("loop",), spec.loop, spec.inputs)


def _subjects(spec: Spec) -> Findings:
    """One model, or components with a pipeline."""
    if spec.components is None:
        if spec.pipeline is not None:
            yield Finding(
                ("pipeline",), "'pipeline' is given without 'components'", "add `components:`", on_key=True
            )
        for name in ("model", "onnx") if needs_torch(spec) else ("onnx",):
            if getattr(spec, name) is None and spec.pipeline is None:
                yield Finding(
                    (), f"{name!r} is missing", "give `model` and `onnx`, or `components` and `pipeline`"
                )
        return
    for name in ("model", "onnx", "outputs", "loop"):
        if getattr(spec, name) is not None:
            fix = f"move {name!r} into a component"
            yield Finding((name,), f"{name!r} is given beside 'components'", fix, on_key=True)
    if spec.pipeline is None:
        fix = "add `pipeline: pipeline.py:run`, the function that calls the components"
        yield Finding(("components",), "'components' need a 'pipeline'", fix, on_key=True)


def _component(path: Path, name: str, component: ComponentSpec, *, modules: bool) -> Findings:
    if name in (MODEL, PIPELINE):
        yield Finding(
            path, f"a component can't be named {name!r}: reports use the name", "rename it", on_key=True
        )
    if component.model is None and modules:
        yield Finding(path, "'model' is missing", "add `model: {target: model.py:build}`", on_key=True)
    yield from _tolerances((*path, "tolerances"), component.tolerances)
    if component.loop is not None:
        yield from check_loop((*path, "loop"), component.loop, None)


def _optimization(spec: Spec) -> Findings:
    """`onnxruntime` would win, and reports would name the level of `numerics`."""
    level, other = spec.numerics.optimization, spec.onnxruntime.optimization
    if level is not None and other is not None and level != other:
        problem = f"'optimization: {other}' contradicts 'optimization: {level}' of numerics"
        yield Finding(("onnxruntime", "optimization"), problem, "keep the one that is meant", on_key=True)


def _exports(spec: Spec) -> Findings:
    """Two exports into one file: the second would be judged against both references."""
    owners: dict[str, str] = {}
    for name, component in (spec.components or {}).items():
        path = component.onnx.path
        if path in owners and (component.onnx.export or _component_onnx(spec, owners[path]).export):
            problem = f"{path!r} is the ONNX file of {owners[path]!r} too, and is exported"
            yield Finding(
                ("components", name, "onnx"), problem, "export each component into a file of its own"
            )
        owners.setdefault(path, name)


def _component_onnx(spec: Spec, name: str) -> OnnxSpec:
    assert spec.components is not None
    return spec.components[name].onnx


def _inputs(inputs: InputsSpec) -> Findings:
    kinds = ("tensors", "files", "images", "provider")
    sources = [name for name in kinds if getattr(inputs, name) is not None]
    if not sources:
        fix = "give exactly one of `tensors`, `files`, `images` and `provider`"
        yield Finding(("inputs",), "the inputs have no source", fix, on_key=True)
        return
    for other in sources[1:]:
        fix = "keep one of them, and make a second specification for the other"
        problem = f"{other!r} and {sources[0]!r} are both given"
        yield Finding(("inputs", other), problem, fix, on_key=True)
    source = sources[0]
    applicable = {"tensors": {"seed", "samples", "dims"}, "provider": {"samples"}}.get(source, set())
    for name in ("seed", "samples", "dims"):
        if name in inputs.model_fields_set and name not in applicable:
            problem = f"{name!r} has no meaning with {source!r}"
            yield Finding(("inputs", name), problem, "leave it out", on_key=True)
    if inputs.tensors is not None:
        yield from check_generated(inputs)
    if inputs.images is not None:
        yield from check_images(("inputs", "images"), inputs.images)


def _devices(devices: tuple[str, ...]) -> Findings:
    for index, device in enumerate(devices):
        if device in devices[:index]:
            yield Finding(
                ("devices", index), f"the device {device!r} is given twice", "give each device once"
            )


def _performance(performance: PerformanceSpec) -> Findings:
    """A ratio needs runs; memory is looked at while they are timed."""
    for key in ("max_latency_ratio", "max_memory_ratio"):
        if getattr(performance, key) is None:
            continue
        at: Path = ("performance", key)
        if performance.runs == 0:
            problem = f"'runs: 0' measures nothing that {key!r} could judge"
            yield Finding(at, problem, f"give it runs, or leave {key!r} out", on_key=True)
        elif key == "max_latency_ratio" and performance.runs < RUNS_TO_JUDGE:
            problem = f"{performance.runs} runs are too few to tell a ratio from noise"
            yield Finding(at, problem, f"give it at least `runs: {RUNS_TO_JUDGE}`", on_key=True)


def _tolerances(path: Path, tolerances: Mapping[str, ToleranceSpec]) -> Findings:
    for pattern, tolerance in tolerances.items():
        here = (*path, pattern)
        given = tolerance.model_fields_set - {"exact", "equal_nan", "dtype", *_MATCHING}
        if tolerance.exact and given:
            names = ", ".join(sorted(given))
            problem = f"'exact: true' contradicts {names}"
            yield Finding((*here, "exact"), problem, "keep the one that is meant", on_key=True)
        if tolerance.dtype == "any" and tolerance.ulp is not None:
            problem, fix = "'ulp' has no meaning with `dtype: any`", "it counts in units of one dtype"
            yield Finding((*here, "ulp"), problem, fix, on_key=True)
        shares = [float(share) for share in tolerance.quantile or {}]
        if len(set(shares)) < len(shares):
            yield Finding(
                (*here, "quantile"), "a quantile is given twice", "give each share once", on_key=True
            )
        yield from _matching(here, tolerance)


def _matching(here: Path, tolerance: ToleranceSpec) -> Findings:
    """Keys that only some kinds of matching have, and what these need."""
    kinds = {"axis": "", "together": "rows topk", "margin": "argmax", "optional_below": "rows"}
    match = tolerance.match
    for key, with_kinds in kinds.items():
        lonely = key == "optional_below" and match is None  # the scores go together with another output
        fits = match is not None and (not with_kinds or match in with_kinds.split())
        if getattr(tolerance, key) is not None and not (fits or lonely):
            meant = " or ".join(with_kinds.split()) or "rows, sorted, topk or argmax"
            fix = f"add `match: {meant}`, or leave it out"
            yield Finding((*here, key), f"{key!r} has no meaning here", fix, on_key=True)
    if tolerance.score_column is not None and tolerance.optional_below is None:
        yield Finding(
            (*here, "score_column"), "'score_column' is given without 'optional_below'", "add it", on_key=True
        )
    if match is None or match == "argmax":
        return
    given = tolerance.model_fields_set - {"equal_nan", "dtype", *_MATCHING}
    if tolerance.noise_factor is not None:
        problem = f"'noise_factor' contradicts 'match: {match}': noise is measured in one order only"
        yield Finding((*here, "noise_factor"), problem, "give an atol in its place", on_key=True)
    elif match in ("rows", "topk") and given and not given & _BOUNDS:
        problem = f"'match: {match}' needs a bound on each element, which tells what may be the same"
        yield Finding((*here, "match"), problem, "add an atol", on_key=True)
    if match == "topk" and len(tolerance.together or ()) != 1:
        problem = "'match: topk' needs the output with the indices"
        yield Finding((*here, "match"), problem, "name it: `together: indices`", on_key=True)
    if match == "rows" and tolerance.axis is not None and tolerance.axis < 0:
        problem = "the axis of rows is counted from the front: outputs of other ranks move along"
        yield Finding((*here, "axis"), problem, "give the axis from 0")
