"""Can an NVIDIA GPU be used here, and if not: why? Asks the driver, without PyTorch; standard library alone.

`python -m parity.driver` prints the answer as one line of JSON. `find` runs that in a process of its own,
since a driver that is half installed can crash or hang whoever loads it.

Results and attributes of the driver API are numbered as in NVIDIA's `cuda.h`.
"""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_LIMIT_S = 60.0  # a first start of the driver takes seconds on a machine with many GPUs
_NO_DEVICE = 100
_MAJOR, _MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_*
# The first Linux driver of each CUDA major version: any later one runs all of its minor versions.
# https://docs.nvidia.com/deploy/cuda-compatibility/
_FIRST_DRIVER = {11: "450", 12: "525", 13: "580"}


@dataclass(frozen=True)
class Driver:
    """What the NVIDIA driver says of itself.

    Args:
        problem: why no GPU can be used, one sentence without a full stop; empty when one can.
        fix: how to mend it.
        version: of the driver, such as ``580.95.05``; empty when unknown.
        cuda: the newest CUDA that it supports, such as ``13.0``; empty when unknown.
        needs: the CUDA that the installed PyTorch brings along; empty when it brings none.
        gpus: name, compute capability and memory of each GPU.
    """

    problem: str = ""
    fix: str = ""
    version: str = ""
    cuda: str = ""
    needs: str = ""
    gpus: tuple[str, ...] = ()


def find() -> Driver:
    """The driver of this machine, asked in a process of its own."""
    command = [sys.executable, "-I", "-m", "parity.driver"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT_S, check=False)
    except subprocess.TimeoutExpired:
        return Driver(
            problem=f"the NVIDIA driver does not answer within {_LIMIT_S:g} s", fix="restart the machine"
        )
    if done.returncode != 0:
        return Driver(
            problem=f"asking the NVIDIA driver ended with status {done.returncode}: {done.stderr[-500:]}",
            fix="check the driver with nvidia-smi on the host",
        )
    fields = json.loads(done.stdout)
    return Driver(**{**fields, "gpus": tuple(fields["gpus"])})


def ask() -> Driver:
    """The same in this process; `find` is the safe way."""
    needs, number = _needed_cuda(), _driver_version()
    try:
        library = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        problem, fix = _no_library(str(error))
        return Driver(problem=problem, fix=fix, version=number, needs=needs)
    status = library.cuInit(0)
    supported = ctypes.c_int(0)
    library.cuDriverGetVersion(ctypes.byref(supported))
    cuda = f"{supported.value // 1000}.{supported.value % 1000 // 10}" if supported.value else ""
    problem, fix = judge(status, cuda, needs, number)
    gpus = () if status else _gpus(library)
    if not problem and not gpus:
        problem, fix = judge(_NO_DEVICE, cuda, needs, number)
    return Driver(problem=problem, fix=fix, version=number, cuda=cuda, needs=needs, gpus=gpus)


def judge(status: int, cuda: str, needs: str, number: str) -> tuple[str, str]:
    """What is wrong and how to mend it; both empty when nothing is.

    Args:
        status: what cuInit returned.
        cuda: the newest CUDA that the driver supports, ``13.0``, or "".
        needs: the CUDA that PyTorch brings along, or "".
        number: the driver's version, or "".
    """
    if cuda and needs and _major(cuda) < _major(needs):
        first = _FIRST_DRIVER.get(_major(needs))
        return (
            f"the NVIDIA driver{f' {number}' if number else ''} is too old: it supports CUDA up to {cuda}, "
            f"and PyTorch here brings CUDA {needs}",
            f"install driver {first} or newer on the host" if first else "install a newer driver on the host",
        )
    match status:
        case 0:
            return "", ""
        case 100:  # CUDA_ERROR_NO_DEVICE
            return (
                "the NVIDIA driver is there, but no GPU is visible",
                "start the container with --gpus all, and look at CUDA_VISIBLE_DEVICES and "
                "NVIDIA_VISIBLE_DEVICES",
            )
        case 803:  # CUDA_ERROR_SYSTEM_DRIVER_MISMATCH
            return (
                "the NVIDIA driver was updated, and its old kernel module is still loaded",
                "restart the host, or load the new kernel module",
            )
        case 34:  # CUDA_ERROR_STUB_LIBRARY
            return "libcuda.so.1 is a stub without a driver", "take CUDA's stubs out of LD_LIBRARY_PATH"
        case _:
            return (
                f"the NVIDIA driver does not start: cuInit returned {status}",
                "check it with nvidia-smi on the host",
            )


def _no_library(reason: str) -> tuple[str, str]:
    if "cannot open shared object file" not in reason or "libcuda.so.1" not in reason:
        return (
            f"the NVIDIA driver's library can't be loaded: {reason}",
            "install the driver again on the host",
        )
    if any(Path(node).exists() for node in ("/dev/nvidiactl", "/dev/dxg")):
        return (
            "a GPU is there, but not the driver's library libcuda.so.1",
            "start the container with NVIDIA_DRIVER_CAPABILITIES=compute,utility",
        )
    if any(Path(mark).exists() for mark in ("/.dockerenv", "/run/.containerenv")):
        return (
            "no GPU runtime: this container was started without a GPU",
            "start it with --gpus all; the host needs an NVIDIA driver and the NVIDIA container toolkit",
        )
    return "there is no NVIDIA driver on this machine", "install one, or leave CUDA devices out"


def _gpus(library: ctypes.CDLL) -> tuple[str, ...]:
    count = ctypes.c_int(0)
    library.cuDeviceGetCount(ctypes.byref(count))
    return tuple(_describe(library, index) for index in range(count.value))


def _describe(library: ctypes.CDLL, index: int) -> str:
    device, name, size = ctypes.c_int(0), ctypes.create_string_buffer(256), ctypes.c_size_t(0)
    major, minor = ctypes.c_int(0), ctypes.c_int(0)
    library.cuDeviceGet(ctypes.byref(device), index)
    library.cuDeviceGetName(name, len(name), device)
    library.cuDeviceTotalMem_v2(ctypes.byref(size), device)
    library.cuDeviceGetAttribute(ctypes.byref(major), _MAJOR, device)
    library.cuDeviceGetAttribute(ctypes.byref(minor), _MINOR, device)
    capability = f"compute capability {major.value}.{minor.value}"
    return f"{name.value.decode('utf-8', 'replace')}, {capability}, {size.value / 2**30:.0f} GiB"


def _driver_version() -> str:
    try:
        return Path("/sys/module/nvidia/version").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


def _needed_cuda() -> str:
    """CUDA of PyTorch's wheel: the major and minor version of the runtime that it depends on."""
    for package in ("nvidia-cuda-runtime", "nvidia-cuda-runtime-cu12"):
        try:
            return ".".join(version(package).split(".")[:2])
        except PackageNotFoundError:
            continue
    return ""


def _major(number: str) -> int:
    return int(number.partition(".")[0])


def _print(found: Driver) -> None:
    fields: dict[str, Any] = asdict(found)
    sys.stdout.write(json.dumps(fields) + "\n")


if __name__ == "__main__":
    _print(ask())
