"""ONNX Runtime on one device: is it really there, with which settings, and sessions that prove both."""

from __future__ import annotations

import ctypes
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from parity.records.jobs import Numerics, OnnxRuntimeOptions
from parity.records.outcomes import Setting
from parity.worker.backends.onnxruntime_errors import explain, explained
from parity.worker.backends.onnxruntime_options import (
    check_provider_options,
    check_session_config,
    provider_options,
    session_options,
    settings_of,
)
from parity.worker.backends.onnxruntime_script import session_script
from parity.worker.backends.onnxruntime_session import Session
from parity.worker.onnx_files import read_signature
from parity.worker.problems import Unable

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


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
        self.provider = CUDA if self._kind == "cuda" else CPU
        self._ort = _import_onnxruntime()
        check_session_config(options.session_config)
        self._provider_options, self.notes = provider_options(self._kind, self._index, numerics, options)
        if self.provider == CUDA:
            self._prove_cuda()

    def open(self, path: str) -> Session:
        """A session on the file, with its external data.

        Raises:
            Unable: ``onnx`` when the file can't be run, ``device`` when the provider did not load,
                ``specification`` when it did not take an option over.
        """
        inputs, outputs = read_signature(path)
        with explained("load", path):
            native = self._create(path)
        self._check_provider(native)
        return Session(native, path, inputs, outputs, (self._kind, self._index))

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

    def _create(self, model: str | bytes) -> Any:
        # Without enable_fallback=0, a provider that fails is replaced by the CPU with a printed line.
        return self._ort.InferenceSession(
            model,
            session_options(self._ort, self._numerics, self._options),
            list(self._providers),
            enable_fallback=0,
        )

    @property
    def _providers(self) -> tuple[tuple[str, dict[str, str]], ...]:
        """With the CPU for the nodes that the device's provider has no kernel for."""
        own = (self.provider, self._provider_options)
        return (own,) if self.provider == CPU else (own, (CPU, {}))

    @property
    def script(self) -> tuple[str, ...]:
        """Lines of Python that set the options and providers of the sessions."""
        return session_script(self._providers, self._numerics, self._options)

    def _prove_cuda(self) -> None:
        """Opens a session on a model of one node, because a provider can be listed and yet not load."""
        available = self._ort.get_available_providers()
        if self.provider not in available:
            raise Unable(
                "device",
                f"onnxruntime {self._ort.__version__} ({self._ort.get_device()} build) has no "
                f"{self.provider}, which {self.device} needs; available: {', '.join(available)}",
                fix="install onnxruntime-gpu in the place of onnxruntime",
            )
        # PyTorch brings CUDA and cuDNN along; once it has loaded them, ONNX Runtime finds them.
        import torch  # noqa: F401

        self._ort.preload_dlls()  # those that came in packages of their own
        try:
            native = self._create(one_node())
        except Exception as error:
            problem, _ = explain(error)
            if "provider option" in problem.lower():
                raise Unable("specification", problem, fix="see onnxruntime.provider_options") from error
            raise Unable(
                "device",
                f"{self.provider} can't be used on {self.device}: {problem}",
                fix="check that the device exists (nvidia-smi) and is free",
                detail=str(error),
            ) from error
        self._check_provider(native)

    def _check_provider(self, native: Any) -> None:
        if self.provider not in native.get_providers():
            reason = why_not_loaded(self.provider, Path(self._ort.__file__).parent / "capi")
            raise Unable(
                "device",
                f"{self.provider} did not load, and ONNX Runtime would use "
                f"{', '.join(native.get_providers())} instead: {reason}",
                fix="install the NVIDIA driver, and the CUDA and cuDNN that this onnxruntime-gpu is for",
            )
        check_provider_options(native, self.provider, self._options.provider_options)


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


def one_node() -> bytes:
    """A model that every provider can run, to see whether one loads: x (1) -> Relu -> y (1), float32."""
    from onnx import TensorProto, helper

    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "probe", [x], [y])
    # Old versions, so that every supported ONNX Runtime takes them.
    opset = helper.make_opsetid("", 17)
    return bytes(helper.make_model(graph, opset_imports=[opset], ir_version=8).SerializeToString())


def why_not_loaded(provider: str, folder: Path) -> str:
    """The dynamic loader's own words on a provider's library in `folder`: it names what is missing."""
    stem = f"onnxruntime_providers_{provider.removesuffix('ExecutionProvider').lower()}"
    libraries = sorted(folder.glob(f"*{stem}.*"))
    if not libraries:
        return f"this build has no library {stem}"
    try:
        ctypes.CDLL(str(libraries[0]))
    except OSError as error:
        return str(error)
    return f"{libraries[0].name} loads, but no device answered; ONNX Runtime's reason is in the worker's log"
