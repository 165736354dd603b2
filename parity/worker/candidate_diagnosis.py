"""The runtime leg of one component call: ONNX Runtime with the user's settings, opened in other ways too."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx
import torch
from google.protobuf.message import EncodeError
from msgspec.structs import replace
from onnx import ModelProto

from parity.artifacts import Array, read_tensor
from parity.diagnosis.runtime_leg import How, Run, diagnose_runtime
from parity.diagnosis.runtime_leg.backend import PRODUCTION
from parity.records.jobs import Numerics, OnnxRuntimeOptions, Optimization
from parity.records.outcomes import DiagnosedRuntime
from parity.records.requests import DiagnoseRuntime
from parity.worker.backends.onnxruntime import OnnxRuntime
from parity.worker.backends.onnxruntime_options import CPU
from parity.worker.modules import release
from parity.worker.placement import assigned_nodes
from parity.worker.problems import Unable

_DISABLED = "optimization.disable_specified_optimizers"


def diagnose_call(
    request: DiagnoseRuntime, path: str, feeds: Mapping[str, Array], runtime: OrtBackend
) -> DiagnosedRuntime:
    """Answers the request.

    Args:
        request: the call, and what the candidate gave for it.
        path: the component's ONNX file.
        feeds: the call's inputs by the names of the file.
        runtime: with the settings that the candidate runs with.

    Raises:
        Unable: the file can't be evaluated at all.
    """
    start = time.perf_counter()
    found = {
        name: read_tensor(record) for name, record in zip(request.outputs, request.candidate, strict=True)
    }
    try:
        findings = diagnose_runtime(path, feeds, found, runtime)
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise Unable(
            "device", f"{runtime.device} has not enough memory to evaluate {path} in float64"
        ) from error
    finally:
        release()
    return DiagnosedRuntime(findings=findings, seconds=time.perf_counter() - start)


class OrtBackend:
    """ONNX Runtime with the user's settings, as `parity.diagnosis.runtime_leg.Backend`.

    Args:
        device: ``cpu``, ``cuda:0``.
        numerics: of the suite.
        options: of the specification, which win over `numerics`.
        folder: for models that are opened from memory.
    """

    def __init__(
        self, device: str, numerics: Numerics, options: OnnxRuntimeOptions, folder: str | Path
    ) -> None:
        self.device, self._numerics, self._options = device, numerics, options
        self._folder = Path(folder)
        self._runtimes: dict[How, OnnxRuntime] = {}

    @property
    def optimization(self) -> Optimization:
        """The user's level; ONNX Runtime's own is all."""
        return self._options.optimization or self._numerics.optimization or "all"

    def open(self, model: str | ModelProto, how: How = PRODUCTION) -> Run:
        """A session on a file or a model.

        Raises:
            Unable: ONNX Runtime can't load it, or not this way.
        """
        if isinstance(model, str):
            return self._runtime(how).open(model).run
        with self._written(model) as path:
            return self._runtime(how).open(path).run

    def optimized(self, path: str, how: How = PRODUCTION) -> ModelProto:
        """The graph that a session on this file runs.

        Raises:
            Unable: ONNX Runtime can't write it, as it is for one that a provider has compiled.
        """
        with TemporaryDirectory(dir=self._folder) as folder:
            return onnx.load(self._runtime(how).optimize(path, folder))

    def on_other_providers(self, path: str) -> Mapping[str, str]:
        """Nodes of the optimized graph that another provider runs than the requested one.

        Raises:
            Unable: ONNX Runtime can't load the file.
        """
        runtime = self._runtime(PRODUCTION)
        if runtime.provider == CPU:
            return {}
        session = runtime.open(path)
        return {
            name: provider
            for provider, (name, _, _) in assigned_nodes(session.native)
            if provider != runtime.provider
        }

    def _runtime(self, how: How) -> OnnxRuntime:
        if how not in self._runtimes:
            device = "cpu" if how.on_cpu else self.device
            self._runtimes[how] = OnnxRuntime(device, self._numerics, self._how(how))
        return self._runtimes[how]

    def _how(self, how: How) -> OnnxRuntimeOptions:
        """The user's options, as far as `how` leaves them."""
        config = dict(self._options.session_config)
        if how.disabled:
            config[_DISABLED] = ";".join(filter(None, (config.get(_DISABLED), *sorted(how.disabled))))
        return replace(
            self._options,
            optimization=how.optimization or self._options.optimization,
            provider_options={**self._options.provider_options, **dict(how.provider_options)},
            session_config=config,
            provider=None if how.on_cpu else self._options.provider,
        )

    @contextmanager
    def _written(self, model: ModelProto) -> Iterator[str]:
        path = self._folder / "model.onnx"
        try:
            onnx.save(model, path)
        except (EncodeError, ValueError) as error:
            raise Unable("onnx", f"a part of the model can't be written: {error}") from error
        try:
            yield str(path)
        finally:
            path.unlink()


def workspace() -> TemporaryDirectory[str]:
    """A folder for what is opened and saved on the way; removed when it is left."""
    return TemporaryDirectory(prefix="parity-runtime-")
