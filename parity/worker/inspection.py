"""`python -m parity.worker.inspection DEVICE...`: what PyTorch and ONNX Runtime can really use here.

Prints `Finding`s, one JSON object a line. A line that says "it did not answer" comes before each attempt, and
the real one replaces it: so a library that crashes the process is known by name.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from parity.records.inspection import Finding
from parity.records.jobs import Numerics, OnnxRuntimeOptions
from parity.worker.problems import Unable

_UNANSWERED = "it did not answer: the process ended while it was being loaded"


def main(devices: list[str]) -> None:
    """Looks at both frameworks, each execution provider, and each of `devices` as the gate would use it."""
    with os.fdopen(os.dup(1), "wb") as out:
        os.dup2(2, 1)  # libraries print

        def show(finding: Finding) -> None:
            out.write(msgspec.json.encode(finding) + b"\n")
            out.flush()

        def attempt(subject: str, look: Callable[[], Finding]) -> None:
            show(Finding(subject=subject, problem=_UNANSWERED))
            show(_caught(subject, look))

        attempt("PyTorch", _torch)
        attempt("ONNX Runtime", _onnxruntime)
        for provider in _providers():
            attempt(provider, lambda provider=provider: _provider(provider))  # type: ignore[misc]
        for device in devices:
            attempt(device, lambda device=device: _device(device))  # type: ignore[misc]


def _caught(subject: str, look: Callable[[], Finding]) -> Finding:
    try:
        return look()
    except Unable as unable:
        return Finding(subject=subject, problem=unable.problem, fix=unable.fix)
    except Exception as error:  # noqa: BLE001 - libraries raise what they like, and it is to be shown
        return Finding(subject=subject, problem=f"{type(error).__name__}: {error}")


def _torch() -> Finding:
    import torch

    backend: Any = torch.backends.cudnn  # untyped
    parts = [str(torch.__version__)]
    parts.append(f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "a build without CUDA")
    if torch.version.cuda and (cudnn := backend.version()) is not None:
        parts.append(f"cuDNN {cudnn // 10000}.{cudnn // 100 % 100}.{cudnn % 100}")
    return Finding(subject="PyTorch", found=", ".join(parts))


def _onnxruntime() -> Finding:
    import onnxruntime

    cuda = getattr(onnxruntime, "cuda_version", "")
    build = f"built for CUDA {cuda}" if cuda else f"{onnxruntime.get_device()} build"
    return Finding(subject="ONNX Runtime", found=f"{onnxruntime.__version__}, {build}")


def _providers() -> Iterator[str]:
    try:
        import onnxruntime

        yield from onnxruntime.get_available_providers()
    except (ImportError, AttributeError):  # told already
        return


def _provider(name: str) -> Finding:
    """Whether a session on a model of one node gets the provider: being listed means nothing."""
    import onnxruntime as ort

    from parity.worker.backends.onnxruntime_loading import NotLoaded, prove

    options: Any = ort.SessionOptions()
    options.log_severity_level = 4  # the reason is found out without
    try:
        prove(ort, name, lambda model: ort.InferenceSession(model, options, [name], enable_fallback=0))
    except NotLoaded as error:
        return Finding(subject=name, problem=f"it does not load: {error.reason}")
    return Finding(subject=name, found="loads")


def _device(name: str) -> Finding:
    """Whether both sides can use a device; where neither can, the reasons of both."""
    from parity.worker.backends.onnxruntime import OnnxRuntime
    from parity.worker.modules import device_name, find_device

    found, problems = "", []
    try:
        found = f"both sides can use it ({device_name(find_device(name))})"
    except Unable as unable:
        problems.append(unable)
    try:
        OnnxRuntime(name, Numerics(), OnnxRuntimeOptions())
    except Unable as unable:
        problems.append(unable)
    if not problems:
        return Finding(subject=name, found=found)
    return Finding(subject=name, problem="; ".join(each.problem for each in problems), fix=problems[0].fix)


if __name__ == "__main__":
    main(sys.argv[1:])
    sys.stderr.flush()
    os._exit(0)  # runtimes' teardown may hang or crash; all has been said
