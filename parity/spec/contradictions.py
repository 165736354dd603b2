"""What several keys of a specification must agree on. Each check yields what it finds wrong, and where."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from parity.records.jobs import MODEL, PIPELINE
from parity.spec.distributions import check_tensor
from parity.spec.inputs import InputsSpec
from parity.spec.messages import Finding
from parity.spec.models import ComponentSpec, OnnxSpec
from parity.spec.places import Path
from parity.spec.schema import Spec
from parity.spec.side_checks import check_comparisons, needs_torch
from parity.spec.tolerances import ToleranceSpec

SETS_LIMIT = 10_000  # input sets of one specification

Findings = Iterator[Finding]


def contradictions(spec: Spec) -> Findings:
    """Everything in `spec` that contradicts something else in it."""
    yield from _subjects(spec)
    for name, component in (spec.components or {}).items():
        yield from _component(("components", name), name, component, modules=needs_torch(spec))
    if spec.model is not None and spec.model.checkpoint_key is not None and spec.model.checkpoint is None:
        yield _key_without_checkpoint(("model", "checkpoint_key"))
    yield from _exports(spec)
    yield from _inputs(spec.inputs)
    yield from _devices(spec.devices)
    yield from check_comparisons(spec)
    yield from _tolerances(("tolerances",), spec.tolerances)


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
    for name in ("model", "onnx", "outputs"):
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
    model = component.model
    if model is None and modules:
        yield Finding(path, "'model' is missing", "add `model: {target: model.py:build}`", on_key=True)
    if model is not None and model.checkpoint_key is not None and model.checkpoint is None:
        yield _key_without_checkpoint((*path, "model", "checkpoint_key"))
    yield from _tolerances((*path, "tolerances"), component.tolerances)


def _key_without_checkpoint(path: Path) -> Finding:
    return Finding(
        path, "'checkpoint_key' is given without a 'checkpoint'", "add the checkpoint", on_key=True
    )


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
    sources = [name for name in ("tensors", "files", "provider") if getattr(inputs, name) is not None]
    if not sources:
        fix = "give exactly one of `tensors`, `files` and `provider`"
        yield Finding(("inputs",), "the inputs have no source", fix, on_key=True)
        return
    for other in sources[1:]:
        fix = "keep one of them, and make a second specification for the other"
        problem = f"{other!r} and {sources[0]!r} are both given"
        yield Finding(("inputs", other), problem, fix, on_key=True)
    source = sources[0]
    applicable = {"tensors": {"seed", "samples", "dims"}, "files": set(), "provider": {"samples"}}[source]
    for name in ("seed", "samples", "dims"):
        if name in inputs.model_fields_set and name not in applicable:
            problem = f"{name!r} has no meaning with {source!r}"
            yield Finding(("inputs", name), problem, "leave it out", on_key=True)
    if inputs.tensors is not None:
        yield from _dims(inputs)
        for name, tensor in inputs.tensors.items():
            yield from check_tensor(("inputs", "tensors", name), tensor)


def _dims(inputs: InputsSpec) -> Findings:
    used: set[str] = set()
    for name, tensor in (inputs.tensors or {}).items():
        for axis, size in enumerate(tensor.shape):
            if isinstance(size, str):
                used.add(size)
                if size not in inputs.dims:
                    path = ("inputs", "tensors", name, "shape", axis)
                    yield Finding(
                        path, f"{size!r} is not in 'dims'", f"add `dims: {{{size}: 1}}` under `inputs`"
                    )
    for name, sizes in inputs.dims.items():
        at: Path = ("inputs", "dims", name)
        if name not in used:
            fix = "use it in a shape, or leave it out"
            yield Finding(at, f"no tensor has the dimension {name!r}", fix, on_key=True)
        if len(set(sizes)) < len(sizes):
            yield Finding(at, f"a size of {name!r} is given twice", "give each size once")
    count = math.prod(len(sizes) for sizes in inputs.dims.values()) * (inputs.samples or 1)
    if count > SETS_LIMIT:
        problem = f"this makes {count} input sets, more than {SETS_LIMIT}"
        yield Finding(("inputs",), problem, "give fewer sizes or samples", on_key=True)


def _devices(devices: tuple[str, ...]) -> Findings:
    for index, device in enumerate(devices):
        if device in devices[:index]:
            yield Finding(
                ("devices", index), f"the device {device!r} is given twice", "give each device once"
            )


def _tolerances(path: Path, tolerances: Mapping[str, ToleranceSpec]) -> Findings:
    for pattern, tolerance in tolerances.items():
        here = (*path, pattern)
        given = tolerance.model_fields_set - {"exact", "equal_nan", "dtype"}
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
