"""The reference side: PyTorch modules and the pipeline, which are loaded once and then asked for the rest."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from parity.records.outcomes import Answer, Loaded, Materialized
from parity.records.requests import (
    Diagnose,
    ExportOnnx,
    LoadReference,
    MaterializeProvider,
    MaterializeSet,
    MeasureLatency,
    MeasureNoise,
    Request,
    RunReference,
)
from parity.worker import numerics
from parity.worker.inputs import materialize
from parity.worker.modules import (
    build_module,
    device_name,
    enforce_eval,
    find_device,
    move,
)
from parity.worker.problems import Unable
from parity.worker.profiling import Meter
from parity.worker.reference_component import ReferenceComponent
from parity.worker.reference_loaded import LoadedReference
from parity.worker.targets import import_target, prefer_imports_from


class ReferenceSide:
    """Answers the requests of a reference worker: `LoadReference` first, then any of the others."""

    def __init__(self) -> None:
        self._loaded: LoadedReference | None = None

    def handle(self, request: Request) -> Answer:
        """The answer to one request.

        Raises:
            Unable: there is none, with the reason.
        """
        match request:
            case LoadReference():
                return self._load(request)
            case MaterializeSet():
                names = self._loaded.names_for(request.source) if self._loaded else None
                inputs = materialize(request.id, request.source, Path(request.directory), names)
                return Materialized(sets=(inputs,))
            case MaterializeProvider() | RunReference() | ExportOnnx() | Diagnose():
                return self._reference.handle(request)
            case MeasureNoise() | MeasureLatency():
                return self._reference.handle(request)
            case _:
                raise Unable("tool", f"a reference worker was sent {type(request).__name__}")

    @property
    def _reference(self) -> LoadedReference:
        if self._loaded is None:
            raise Unable("tool", "the reference is not loaded")
        return self._loaded

    def _load(self, job: LoadReference) -> Loaded:
        device = find_device(job.device)
        base_dir = Path(job.base_dir)
        prefer_imports_from(base_dir)
        numerics.apply(job.numerics)
        meter = Meter(on_gpu=device.type == "cuda")  # before anything of the user's is in memory
        components: dict[str, ReferenceComponent] = {}
        notes: list[str] = []
        for one in job.components:
            if one.model is None:
                raise Unable("tool", f"component {one.name!r} has no PyTorch model")
            module, about = build_module(one.model, base_dir)
            component = components[one.name] = ReferenceComponent(one, module, device, job.variant)
            notes += about
            notes += enforce_eval(module, component.whose)
            notes += move(module, device, component.whose)
        pipeline = _pipeline(job.pipeline, base_dir) if job.pipeline else None
        numerics.apply(job.numerics)  # again: importing the user's code may have set other things
        self._loaded = LoadedReference(job, device, components, pipeline, meter)
        return Loaded(
            settings=numerics.settings(), versions=_versions(), device=device_name(device), notes=tuple(notes)
        )


def _pipeline(target: str, base_dir: Path) -> Callable[..., Any]:
    pipeline = import_target(target, base_dir)
    try:
        inspect.signature(pipeline).bind({}, {})
    except TypeError as error:
        raise Unable(
            "specification",
            f"the pipeline {target} can't be called as run(stages, inputs): {error}",
            fix="define it as `def run(stages, inputs):`",
        ) from error
    except ValueError:  # some callables written in C don't say what they take
        pass
    return pipeline


def _versions() -> dict[str, str]:
    versions = {"torch": str(torch.__version__), "numpy": np.__version__}
    if torch.version.cuda is not None:
        versions |= {"cuda": torch.version.cuda, "cudnn": str(torch.backends.cudnn.version())}  # type: ignore[no-untyped-call]
    return versions
