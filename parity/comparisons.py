"""What a specification compares with what: `devices`, or `comparisons`, with all that holds for each side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path as FilePath

from parity.errors import SpecError
from parity.records.jobs import MODEL, OnnxRuntimeOptions
from parity.records.sides import Comparison, OnnxRuntimeSide, SideSpec, TorchSide, on_device, paired
from parity.spec import comparisons, numerics
from parity.spec.fields import parse_device
from parity.spec.places import Places
from parity.spec.schema import Spec
from parity.spec.side_checks import onnx_files


def comparisons_of(
    spec: Spec, places: Places, base: FilePath, devices: tuple[str, ...] | None
) -> tuple[Comparison, ...]:
    """Every comparison of a specification, in its order.

    Args:
        spec: a valid specification.
        places: of everything in it.
        base: the folder that its paths are relative to.
        devices: instead of the specification's own, as the command line gives them.

    Raises:
        SpecError: `devices` holds none, an unknown one, or one twice, or the specification has `comparisons`;
            two of these could not be told apart, or one compares a side with itself.
    """
    if spec.comparisons is not None:
        if devices is not None:
            raise SpecError(
                "this specification has comparisons, each of which says its own devices",
                at="--devices",
                fix="leave --devices out, and choose some of them with --case",
            )
        return tuple(_told_apart(_paired(spec, places, base), places))
    chosen = spec.devices if devices is None else _override(devices)
    saved = spec.model is not None and spec.model.saved
    return tuple(on_device(device, _options(spec, base), saved=saved) for device in chosen)


def _options(spec: Spec, base: FilePath) -> OnnxRuntimeOptions:
    given = spec.onnxruntime
    return OnnxRuntimeOptions(
        optimization=given.optimization,
        provider_options=given.provider_options,
        session_config=given.session_config,
        custom_ops=tuple(library if ":" in library else str(base / library) for library in given.custom_ops),
    )


def _override(devices: tuple[str, ...]) -> tuple[str, ...]:
    at = "--devices"
    if not devices:
        raise SpecError("no device is given", at=at, fix="write cpu, cuda:0 or cpu,cuda:0")
    chosen: list[str] = []
    for name in devices:
        try:
            device = parse_device(name)
        except ValueError as error:
            raise SpecError(f"there is no device {name!r}", at=at, fix="write cpu, cuda or cuda:N") from error
        if device in chosen:
            raise SpecError(f"the device {device!r} is given twice", at=at, fix="give each device once")
        chosen.append(device)
    return tuple(chosen)


def _told_apart(found: Iterable[Comparison], places: Places) -> Iterator[Comparison]:
    """Ids and folders have a comparison's label: files of one name in two folders would share it."""
    labels: set[str] = set()
    for index, each in enumerate(found):
        if each.label in labels:
            raise SpecError(
                f"reports could not tell this comparison, {each.text}, from another one",
                at=places.at(places.value(("comparisons", index))),
                fix="give one of its sides a `name`",
            )
        labels.add(each.label)
        yield each


def _paired(spec: Spec, places: Places, base: FilePath) -> Iterator[Comparison]:
    for index, each in enumerate(spec.comparisons or ()):
        reference, candidate = _side(each.reference, spec, base), _onnxruntime(each.candidate, spec, base)
        if isinstance(reference, OnnxRuntimeSide) and _run_the_same(reference, candidate, spec, base):
            raise SpecError(
                f"this compares a side with itself: {reference.text} and {candidate.text} run the same files "
                "in the same way",
                at=places.at(places.value(("comparisons", index))),
                fix="two runs of one side differ by chance alone; compare it with another side",
            )
        yield paired(reference, candidate, f"comparisons.{index}")


def _run_the_same(one: OnnxRuntimeSide, other: OnnxRuntimeSide, spec: Spec, base: FilePath) -> bool:
    """Whatever they are called: a name, or another way to write a path or a provider, makes no difference."""
    of_suite = {name: str(base / onnx.path) for name, onnx in onnx_files(spec).items()}
    level = numerics.resolve(spec.numerics)[1].optimization
    return one.runs(of_suite, level) == other.runs(of_suite, level)


def _side(side: comparisons.SideSpec, spec: Spec, base: FilePath) -> SideSpec:
    if side.backend == "torch":
        return TorchSide(device=side.device, variant=side.variant, name=side.name or "")
    return _onnxruntime(side, spec, base)


def _onnxruntime(side: comparisons.SideSpec, spec: Spec, base: FilePath) -> OnnxRuntimeSide:
    """The suite's options hold for it too; those of a provider only where it is the device's own."""
    suite = _options(spec, base)
    shared = suite.provider_options if side.provider is None else {}
    return OnnxRuntimeSide(
        device=side.device,
        options=OnnxRuntimeOptions(
            provider=side.provider,
            optimization=side.optimization or suite.optimization,
            provider_options={**shared, **side.provider_options},
            session_config={**suite.session_config, **side.session_config},
            custom_ops=suite.custom_ops,
        ),
        files={name: str(base / path) for name, path in (side.onnx or {}).items()},
        cast_inputs=side.cast_inputs,
        name=side.name or ", ".join(_differences(side)),
    )


def _differences(side: comparisons.SideSpec) -> Iterator[str]:
    """What tells a side from the plain one on its device, for want of a name."""
    for component, path in (side.onnx or {}).items():
        file = FilePath(path).name
        yield file if component == MODEL else f"{component}={file}"
    if side.cast_inputs:
        yield "cast_inputs"
    if side.optimization is not None:
        yield f"optimization={side.optimization}"
    for options in (side.provider_options, side.session_config):
        yield from (f"{key}={value}" for key, value in options.items())
