"""ONNX Runtime on one device: is it really there, with which settings, and sessions that prove both."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from msgspec.structs import replace

from parity.records.jobs import MODEL, Numerics, OnnxRuntimeOptions
from parity.records.outcomes import Setting
from parity.records.placement import Crossings, Placement
from parity.worker.backends.onnxruntime_errors import explained
from parity.worker.backends.onnxruntime_loading import NotLoaded, check_loaded, prove
from parity.worker.backends.onnxruntime_options import (
    CPU,
    CUDA,
    TENSORRT,
    check_provider_options,
    check_session_config,
    provider_of,
    providers,
    session_options,
    settings_of,
)
from parity.worker.backends.onnxruntime_saving import divided_graph, save_to
from parity.worker.backends.onnxruntime_script import session_script
from parity.worker.backends.onnxruntime_session import Session
from parity.worker.onnx_files import read_signature
from parity.worker.placement import assigned_nodes, crossings_of, placement_of
from parity.worker.problems import Unable

_PACKAGES = {
    CUDA: "onnxruntime-gpu",
    TENSORRT: "onnxruntime-gpu",
    "OpenVINOExecutionProvider": "onnxruntime-openvino",
}
_FIXES = {
    CUDA: "install the NVIDIA driver, and the CUDA and cuDNN that this onnxruntime-gpu is for",
    TENSORRT: "install the NVIDIA driver, and the CUDA and TensorRT that this onnxruntime-gpu is for",
}


class OnnxRuntime:
    """The runtime on `device` (``cpu``, ``cuda:0``); sessions run there or are not opened.

    Raises:
        Unable: ``device`` when the device's execution provider does not load, ``specification`` when an
            option is unknown.
    """

    def __init__(self, device: str, numerics: Numerics, options: OnnxRuntimeOptions) -> None:
        self._kind, self._index = _parse(device)
        self.device = "cpu" if self._kind == "cpu" else f"cuda:{self._index}"
        self._numerics, self._options = numerics, options
        self.provider = provider_of(self._kind, options)
        self._ort = _import_onnxruntime()
        check_session_config(options.session_config)
        self._providers, self.notes = providers(self._kind, self._index, numerics, options)
        if self.provider != CPU:
            self._prove()

    def open(self, path: str, component: str = MODEL, save_in: str | None = None) -> Session:
        """A session on the file, with its external data, which ONNX Runtime reads by itself.

        Args:
            path: of the ONNX file.
            component: whose it is.
            save_in: folder where the graph is kept as ONNX Runtime has optimized it; None: nowhere.

        Raises:
            Unable: ``onnx`` when the file can't be run, ``device`` when the provider did not load,
                ``specification`` when it did not take an option over.
        """
        inputs, outputs = read_signature(path)
        options = self._session_options()
        if save_in is not None:
            save_to(options, save_in, component, path)
        with explained("load", path):
            native = self._ort.InferenceSession(path, options, self._providers, enable_fallback=0)
        self._check_provider(native)
        placement = placement_of(native, component, self.provider)
        return Session(native, path, inputs, outputs, (self._kind, self._index), placement)

    def optimize(self, path: str, folder: str) -> str:
        """The path of the graph that a session on this file runs, written into a folder.

        Raises:
            Unable: ``onnx``; ONNX Runtime can't write it, as it is for one that a provider has compiled.
        """
        options = self._session_options()
        target = save_to(options, folder, "optimized", path)
        with explained("optimize", path):
            self._ort.InferenceSession(path, options, self._providers, enable_fallback=0)
        return target

    def placement(self, session: Session, shapes: Mapping[str, tuple[int, ...]], input_set: str) -> Placement:
        """A session's placement, with what crosses between providers in a run on inputs of these shapes."""
        if not session.placement.elsewhere:
            return session.placement
        try:
            graph = divided_graph(self._ort, session.path, self._session_options())
            crossings = crossings_of(graph, assigned_nodes(session.native), shapes, input_set)
        except Exception as error:  # noqa: BLE001 - a figure beside the comparison, which stands without it
            why = f"{type(error).__name__}: {error}"
            crossings = Crossings(input_set=input_set, count=0, bytes=0, unknown=why)
        return replace(session.placement, crossings=crossings)

    def settings(self, session: Session) -> dict[str, Setting]:
        """The settings in force, as the session itself reports them."""
        return settings_of(session.native, self._options.session_config)

    @property
    def versions(self) -> dict[str, str]:
        """Version of ONNX Runtime, and of the CUDA that a CUDA build was made for."""
        found = {"onnxruntime": str(self._ort.__version__)}
        built_for = getattr(self._ort, "cuda_version", "")
        return {**found, "onnxruntime cuda": str(built_for)} if built_for else found

    @property
    def build(self) -> dict[str, Setting]:
        """What this build of the runtime says of itself."""
        return {
            "onnxruntime.device": str(self._ort.get_device()),
            "onnxruntime.available_providers": ", ".join(self._ort.get_available_providers()),
        }

    @property
    def device_name(self) -> str:
        """As the framework names it: cpu, NVIDIA H200."""
        if self._kind == "cpu":
            return "cpu"
        import torch

        return torch.cuda.get_device_name(self._index) if torch.cuda.is_available() else self.device

    @property
    def script(self) -> tuple[str, ...]:
        """Lines of Python that set the options and providers of the sessions."""
        return session_script(self._providers, self._numerics, self._options)

    def _session_options(self) -> Any:
        return session_options(self._ort, self._numerics, self._options)

    def _prove(self) -> None:
        """A provider can be listed and yet not load."""
        available = self._ort.get_available_providers()
        if self.provider not in available:
            raise Unable(
                "device",
                f"onnxruntime {self._ort.__version__} ({self._ort.get_device()} build) has no "
                f"{self.provider}, which {self.device} needs; available: {', '.join(available)}",
                fix=f"install {_PACKAGES.get(self.provider, 'a build with it')} in the place of onnxruntime",
            )
        options = self._session_options()

        def create(model: bytes) -> Any:
            # Without enable_fallback=0, a provider that fails is replaced by the CPU with a printed line.
            return self._ort.InferenceSession(model, options, self._providers, enable_fallback=0)

        try:
            native = prove(self._ort, self.provider, create)
        except NotLoaded as error:
            if "option" in error.reason.lower() and self._options.provider_options:
                fix = "see onnxruntime.provider_options"
                raise Unable("specification", error.reason, fix=fix, detail=error.detail) from error
            raise self._not_loaded(error) from error
        self.notes += self._check_options(native)

    def _check_provider(self, native: Any) -> None:
        try:
            check_loaded(self._ort, self.provider, native)
        except NotLoaded as error:
            raise self._not_loaded(error) from error
        self._check_options(native)

    def _check_options(self, native: Any) -> tuple[str, ...]:
        return check_provider_options(native, self.provider, self._options.provider_options)

    def _not_loaded(self, error: NotLoaded) -> Unable:
        return Unable(
            "device",
            f"{self.provider} did not load on {self.device}: {error.reason}",
            fix=_FIXES.get(self.provider, "install what the provider needs; `parity doctor` tries it again"),
            detail=error.detail,
        )


def _parse(device: str) -> tuple[str, int]:
    match = re.fullmatch(r"(cpu|cuda)(?::(\d+))?", device)
    if match is None or device.startswith("cpu:"):
        raise Unable("specification", f"there is no device {device!r}", fix="use cpu, cuda:0, cuda:1, ...")
    return match[1], int(match[2] or 0)


def _import_onnxruntime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise Unable(
            "device",
            f"onnxruntime can't be imported: {error}",
            fix="install onnxruntime, or onnxruntime-gpu for CUDA devices",
        ) from error
    if not hasattr(onnxruntime, "InferenceSession"):
        # Two builds in one environment overwrite each other, and removing one leaves an empty package.
        raise Unable(
            "device",
            f"the onnxruntime package is broken ({_installed()} installed): it has no InferenceSession",
            fix="uninstall onnxruntime and onnxruntime-gpu, then install the one that is meant",
        )
    return onnxruntime


def _installed() -> str:
    found = []
    for package in ("onnxruntime", "onnxruntime-gpu"):
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return " and ".join(found) or "no onnxruntime"
