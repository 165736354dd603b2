"""What the sides of `comparisons` must agree on, with each other and with the rest of a specification."""

from __future__ import annotations

from collections.abc import Iterator

from parity.records.jobs import MODEL
from parity.records.providers import runs_on, short_name
from parity.spec.comparisons import ONNXRUNTIME_KEYS, ComparisonSpec, SideSpec
from parity.spec.messages import Finding
from parity.spec.models import OnnxSpec
from parity.spec.places import Path
from parity.spec.schema import Spec

Findings = Iterator[Finding]


def needs_torch(spec: Spec) -> bool:
    """Whether a comparison runs the PyTorch modules."""
    return spec.comparisons is None or any(each.reference.backend == "torch" for each in spec.comparisons)


def check_comparisons(spec: Spec) -> Findings:
    """Everything that is wrong with `comparisons` beyond its single values."""
    if spec.comparisons is None:
        return
    if "devices" in spec.model_fields_set:
        problem = "'devices' and 'comparisons' are both given"
        fix = "keep one of them: each side of a comparison says its own device"
        yield Finding(("devices",), problem, fix, on_key=True)
    known: list[ComparisonSpec] = []
    for index, each in enumerate(spec.comparisons):
        at: Path = ("comparisons", index)
        if any(
            _same(each.reference, one.reference) and _same(each.candidate, one.candidate) for one in known
        ):
            fix = "give each comparison once, or a side of it a `name`"
            yield Finding(at, "this comparison is given twice", fix)
        elif _same(each.reference, each.candidate):
            fix = "two runs of one side differ by chance alone; compare it with another side"
            yield Finding(at, "this compares a side with itself", fix)
        known.append(each)
        yield from _side(spec, (*at, "reference"), each.reference)
        yield from _side(spec, (*at, "candidate"), each.candidate)
        yield from _roles(spec, at, each)


def _same(one: SideSpec, other: SideSpec) -> bool:
    return one == other


def _roles(spec: Spec, at: Path, each: ComparisonSpec) -> Findings:
    if each.candidate.backend == "torch":
        yield Finding(
            (*at, "candidate"),
            "the candidate must be an ONNX file: onnxruntime",
            "write torch as the reference, and an ONNX file as the candidate",
        )
    if each.reference.backend == "onnxruntime":
        made = [name for name, onnx in onnx_files(spec).items() if onnx.export is not None]
        for name in made:
            if name not in (each.reference.onnx or {}) or name not in (each.candidate.onnx or {}):
                yield Finding(
                    (*at, "reference"),
                    "without torch in this comparison there is nothing to export the ONNX file from",
                    "leave `export` out, and export the file in a specification of its own",
                )
                return


def _side(spec: Spec, at: Path, side: SideSpec) -> Findings:
    if side.backend == "torch":
        for name in ONNXRUNTIME_KEYS:
            if name in side.model_fields_set:
                fix = "leave it out, or write `backend: onnxruntime`"
                yield Finding((*at, name), f"{name!r} has no meaning with torch", fix, on_key=True)
        return
    if side.variant is not None:
        fix = "leave it out, or write `backend: torch`"
        yield Finding((*at, "variant"), "'variant' has no meaning with onnxruntime", fix, on_key=True)
    if side.provider is not None and not runs_on(side.provider, side.device):
        right = "cpu" if side.device.startswith("cuda") else "cuda:0"
        name = short_name(side.provider)
        problem = f"the execution provider {name!r} does not take its tensors from {side.device}"
        yield Finding((*at, "provider"), problem, f"write onnxruntime+{name}@{right}")
    files = onnx_files(spec)
    for name in side.onnx or {}:
        if name not in files:
            yield _no_component((*at, "onnx"), name, list(files))


def _no_component(at: Path, name: str, known: list[str]) -> Finding:
    if name == MODEL:
        fix = f"give a mapping: {{{known[0]}: path.onnx}}" if known else "give `components` their files"
        return Finding(at, "with 'components' one file can't stand for all of them", fix)
    fix = f"write {' or '.join(known)}" if known != [MODEL] else "give the path of one file"
    return Finding((*at, name), f"there is no component {name!r}", fix, on_key=True)


def onnx_files(spec: Spec) -> dict[str, OnnxSpec]:
    """The suite's ONNX files by component."""
    if spec.components is not None:
        return {name: component.onnx for name, component in spec.components.items()}
    return {MODEL: spec.onnx} if spec.onnx is not None else {}
