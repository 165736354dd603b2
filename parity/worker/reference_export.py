"""Making a component's ONNX file from its module, with the inputs of its first call as the example."""

from __future__ import annotations

import difflib
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx
import torch
from torch.jit._trace import TracerWarning

from parity.records.jobs import ExportJob
from parity.records.outcomes import Exported, Setting
from parity.registry import EXPORTERS, resolve
from parity.worker.binding import Tensors
from parity.worker.exporting import ExportRequest
from parity.worker.flattening import flatten
from parity.worker.modules import enforce_eval
from parity.worker.onnx_files import read_signature
from parity.worker.problems import Unable, listed, user_code
from parity.worker.recording import Example
from parity.worker.reference_component import ReferenceComponent


def export(
    component: ReferenceComponent, example: Example, tensors: Tensors, constant_folding: bool | None
) -> Exported:
    """Exports one component to the path that the specification has for its ONNX file.

    Args:
        component: its module is on its device and in eval mode.
        example: a call of the component.
        tensors: the inputs of that call.
        constant_folding: where the component's own `export` settings leave it open.

    Raises:
        Unable: the exporter fails, or makes something else than it was asked for.
    """
    job = component.job.export
    if job is None:
        raise Unable("tool", f"{component.whose} has an ONNX file and is not to be exported")
    start = time.perf_counter()
    request = _request(component, job, example, tensors, constant_folding)
    path = Path(component.job.onnx)
    with _fresh_directory(path) as directory:
        made = directory / path.name
        noted = _run_exporter(component, job, request, made)
        opset = _check(component, request, made)
        _publish(directory, path)
    enforce_eval(component.module, component.whose)
    settings: dict[str, Setting] = {
        "exporter": job.exporter,
        "opset": opset,
        "constant_folding": request.constant_folding,
        "dynamic_shapes": ", ".join(
            f"{name}.{axis}={dim}" for name, axes in job.dynamic_shapes.items() for axis, dim in axes.items()
        ),
        "torch": str(torch.__version__),
        "warnings": noted,
    }
    return Exported(
        component=component.name, path=str(path), seconds=time.perf_counter() - start, settings=settings
    )


def _request(
    component: ReferenceComponent,
    job: ExportJob,
    example: Example,
    tensors: Tensors,
    constant_folding: bool | None,
) -> ExportRequest:
    args, kwargs = example.binding.arguments(tensors)
    request = ExportRequest(
        module=component.module,
        args=args,
        kwargs=kwargs,
        input_names=example.binding.names,
        output_names=example.output_names,
        opset=job.opset,
        constant_folding=constant_folding if job.constant_folding is None else job.constant_folding,
        dynamic_shapes=job.dynamic_shapes,
    )
    _check_names(component, request)
    return request


def _check_names(component: ReferenceComponent, request: ExportRequest) -> None:
    examples = dict(request.examples)
    for name, axes in request.dynamic_shapes.items():
        if name not in examples:
            near = difflib.get_close_matches(name, examples, 1)
            raise Unable(
                "specification",
                f"dynamic_shapes of {component.whose} names {name!r}; the inputs are {listed(examples)}",
                fix=f"did you mean {near[0]!r}?" if near else "use the names of the inputs",
            )
        outside = [axis for axis in axes if not 0 <= axis < examples[name].dim()]
        if outside:
            raise Unable(
                "specification",
                f"dynamic_shapes of {component.whose}: {name!r} has no axis {outside[0]}",
                fix=f"count from 0: it has {examples[name].dim()} axes",
            )
    both = sorted(set(request.output_names) & set(request.input_names))
    if both:
        raise Unable(
            "specification",
            f"{both[0]!r} names an input and an output of {component.whose}: an ONNX file can't have both",
            fix=f"give the output another name with 'outputs', such as {both[0]}_out: {both[0]}",
        )


def _run_exporter(component: ReferenceComponent, job: ExportJob, request: ExportRequest, path: Path) -> str:
    """Runs the exporter. Returns what tracing has warned of: values that it has frozen."""
    exporter = resolve(EXPORTERS[job.exporter])
    try:
        with user_code("exporting"), warnings.catch_warnings(record=True) as caught, _flat(component):
            warnings.simplefilter("always")
            exporter(request, path)
    except Unable as error:
        if error.__cause__ is None:
            raise
        other = "torchscript" if job.exporter == "dynamo" else "dynamo"
        fix = f"change what it can't export, or try `exporter: {other}`"
        if single := _single(request):
            fix = f"put a larger size first: the example has 1 at {single}, often taken as fixed; or {fix}"
        raise Unable(
            "model",
            f"the {job.exporter} exporter failed on {component.whose}: {_root(error.__cause__)}",
            fix=fix,
            detail=error.detail,
        ) from error
    traced = [str(one.message).strip() for one in caught if issubclass(one.category, TracerWarning)]
    for text in traced:
        print(text, file=sys.stderr)  # noqa: T201 - the worker's log
    return " | ".join(dict.fromkeys(text.splitlines()[0] for text in traced))


def _single(request: ExportRequest) -> str:
    """The first dynamic axis of which the example has a single element, as ``axis 1 of 'x'``; empty: none."""
    found = (
        f"axis {axis} of {name!r}"
        for name, tensor in request.examples
        for axis in request.dynamic_shapes.get(name, {})
        if tensor.shape[axis] == 1
    )
    return next(found, "")


@contextmanager
def _flat(component: ReferenceComponent) -> Iterator[None]:
    """Lets the module return its outputs as the gate flattens them, so that exporters agree on their order.

    A hook, since a wrapper would change the scopes by which nodes are found again in the module.
    """

    def hook(_module: torch.nn.Module, _args: Any, result: object) -> tuple[torch.Tensor, ...]:
        outputs: list[torch.Tensor] = []
        for name, leaf in flatten(result, origin=component.whose).items():
            if not isinstance(leaf, torch.Tensor):
                raise Unable(
                    "model",
                    f"the output {name!r} of {component.whose} is a NumPy array: no exporter can follow it",
                    fix="compute it with PyTorch",
                )
            # One tensor under two names: the dynamo exporter writes a file with one name twice.
            outputs.append(leaf.clone() if any(leaf is one for one in outputs) else leaf)
        return tuple(outputs)

    handle = component.module.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def _check(component: ReferenceComponent, request: ExportRequest, path: Path) -> int:
    """Holds the file against what was asked for. Returns its opset."""
    inputs, outputs = read_signature(str(path))
    for role, made, wanted in (
        ("inputs", inputs, request.input_names),
        ("outputs", outputs, request.output_names),
    ):
        names = tuple(value.name for value in made)
        if names != wanted:
            raise Unable(
                "model",
                f"the file exported of {component.whose} has the {role} {listed(names)}, "
                f"not {listed(wanted)}",
                fix="an exporter drops an input that the forward does not use; leave it out",
            )
    model = onnx.load(str(path), load_external_data=False)
    opset: int = next(one.version for one in model.opset_import if one.domain in {"", "ai.onnx"})
    if request.opset not in {None, opset}:
        raise Unable(
            "model",
            f"the exporter made opset {opset} of {component.whose}, asked for was {request.opset}",
            fix=f"ask for opset {opset}, or use the other exporter",
        )
    return opset


@contextmanager
def _fresh_directory(path: Path) -> Iterator[Path]:
    """An empty folder beside `path`: external data is written beside the model, under its final name."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        directory = Path(tempfile.mkdtemp(dir=path.parent, prefix=".export-"))
    except OSError as error:
        raise Unable("onnx", f"{path} can't be written: {error.strerror}", fix="check the folder") from error
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _publish(directory: Path, path: Path) -> None:
    """Moves the files to their place; the model last, so that it is never there without its data."""
    for file in sorted(directory.iterdir(), key=lambda file: file.name == path.name):
        file.replace(path.parent / file.name)


def _root(error: BaseException) -> str:
    """The first line of the error at the bottom: exporters wrap it in pages of advice."""
    while error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, Unable):
        return error.problem
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
