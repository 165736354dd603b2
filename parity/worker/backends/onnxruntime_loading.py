"""Whether an execution provider really loads: that a build lists it means nothing."""

from __future__ import annotations

import ctypes
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

from parity.worker.backends.onnxruntime_errors import explain

_NEEDS_CUDA = ("CUDAExecutionProvider", "TensorrtExecutionProvider", "NvTensorRTRTXExecutionProvider")


class NotLoaded(Exception):
    """A provider can't be used.

    Args:
        reason: one sentence without a full stop, with the loader's own words where a library is missing.
        detail: all that ONNX Runtime said.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason, self.detail = reason, detail


def prove(ort: Any, provider: str, create: Callable[[bytes], Any]) -> Any:
    """A session on a model of one node that has the provider.

    Args:
        ort: the module onnxruntime.
        provider: one that its build lists.
        create: opens a session on a serialized model, this provider first.

    Raises:
        NotLoaded: there is none.
    """
    preload(ort, provider)
    try:
        native = create(one_node())
    except Exception as error:
        said, _ = explain(error)
        # TensorRT's provider says "install TensorRT", and the loader what is missing.
        missing = missing_library(provider, _capi(ort))
        raise NotLoaded(f"{said}: {missing}" if missing else said, detail=str(error)) from error
    check_loaded(ort, provider, native)
    return native


def check_loaded(ort: Any, provider: str, native: Any) -> None:
    """Raises `NotLoaded` unless a session has the provider: ONNX Runtime goes on without, and logs a line."""
    if provider not in native.get_providers():
        reason = why_not_loaded(provider, _capi(ort))
        raise NotLoaded(f"ONNX Runtime would use {', '.join(native.get_providers())} instead: {reason}")


def preload(ort: Any, provider: str) -> None:
    """Loads CUDA and cuDNN from the packages that hold them, for a provider that needs them."""
    if provider not in _NEEDS_CUDA:
        return
    if importlib.util.find_spec("torch") is not None:
        # PyTorch brings CUDA and cuDNN along; once it has loaded them, ONNX Runtime finds them.
        import torch  # noqa: F401
    if hasattr(ort, "preload_dlls"):
        ort.preload_dlls()


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
    libraries = _libraries(provider, folder)
    if not libraries:
        return f"this build has no library {_stem(provider)}"
    name = libraries[0].name
    return missing_library(provider, folder) or (
        f"{name} loads, but no device answered; ONNX Runtime's reason is in the worker's log"
    )


def missing_library(provider: str, folder: Path) -> str:
    """Why the provider's own library can't be loaded; empty when it can, or when there is none."""
    libraries = _libraries(provider, folder)
    try:
        # It calls back into this one, which ONNX Runtime loads before it.
        for shared in sorted(folder.glob("*onnxruntime_providers_shared.*")):
            ctypes.CDLL(str(shared), mode=ctypes.RTLD_GLOBAL)
        for library in libraries[:1]:
            ctypes.CDLL(str(library))
    except OSError as error:
        return str(error)
    return ""


def _libraries(provider: str, folder: Path) -> list[Path]:
    return sorted(folder.glob(f"*{_stem(provider)}.*"))


def _stem(provider: str) -> str:
    return f"onnxruntime_providers_{provider.removesuffix('ExecutionProvider').lower()}"


def _capi(ort: Any) -> Path:
    return Path(ort.__file__).parent / "capi"
