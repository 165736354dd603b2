"""The reference module: built, its checkpoint loaded, in eval mode, all of it on its device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from parity import driver
from parity.diagnosis.reference_leg.devices import met_on_two_devices, misplaced
from parity.records.jobs import ModelJob
from parity.registry import LOADERS, find_loader, resolve
from parity.worker.checkpoints import load_checkpoint
from parity.worker.loaders import Built, Loader
from parity.worker.problems import Unable, user_code

_SHOWN = 10
# What PyTorch says of tensors on two devices: operators, kernels, and fake tensors.
_TWO_DEVICES = (
    "to be on the same device",
    "device type at start of DeviceGuard",
    "is not on the expected device",
    "to have the same device type",
)


def build_module(job: ModelJob, base_dir: Path) -> tuple[torch.nn.Module, tuple[str, ...]]:
    """What the loader makes, with its checkpoint; on the CPU, in whatever mode.

    Returns:
        The module to compare, and what a user should know about how it was made.

    Raises:
        Unable: see the loader and `load_checkpoint`.
    """
    made = _loader(job.loader)(job, base_dir)
    built = made if isinstance(made, Built) else Built(made)
    if not isinstance(built.module, torch.nn.Module):
        raise Unable(
            "model",
            f"the loader {job.loader!r} gave an object of type {type(built.module).__qualname__}",
            fix="a loader returns a torch.nn.Module, or parity.worker.loaders.Built with one",
        )
    notes = built.notes
    if job.checkpoint is not None:
        notes += load_checkpoint(built.module, Path(job.checkpoint), job.checkpoint_key)
    return built.finish(built.module), notes


def _loader(name: str) -> Loader:
    try:
        place = find_loader(name)
    except LookupError as error:
        raise Unable("specification", f"there is no model loader {name!r}", fix=str(error)) from error
    if name in LOADERS:
        own: Loader = resolve(place)
        return own
    with user_code(f"importing the loader {name!r} from {place}"):
        theirs: Loader = resolve(place)
    return _fenced(theirs, name)


def _fenced(loader: Loader, name: str) -> Loader:
    """Whatever a package's loader raises is not the tool's own defect."""

    def fenced(job: ModelJob, base_dir: Path) -> torch.nn.Module | Built:
        with user_code(f"building the model with the loader {name!r}"):
            return loader(job, base_dir)

    return fenced


def find_device(name: str) -> torch.device:
    """The device of that name.

    Raises:
        Unable: ``device``; PyTorch can't use it here, with the reason.
    """
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise Unable("device", f"PyTorch knows no device {name!r}", fix="use cpu or cuda:0") from error
    if device.type == "cpu":
        return torch.device("cpu")
    if device.type != "cuda":
        raise Unable("device", f"the device {name!r} is not supported", fix="use cpu or cuda:0")
    if torch.version.cuda is None and torch.version.hip is None:
        raise Unable(
            "device",
            f"{name} is not available: this PyTorch build ({torch.__version__}) has no CUDA",
            fix="install a CUDA build of PyTorch (of this image: the GPU one), or leave the device out",
        )
    if not torch.cuda.is_available():
        # The driver's own words: PyTorch does not tell "no GPU runtime" from "driver too old" from "no GPU".
        found = driver.find()
        raise Unable(
            "device",
            f"{name} is not available: {found.problem or f'PyTorch {torch.__version__} finds no usable GPU'}",
            fix=found.fix or "check nvidia-smi; in a container, start it with --gpus all",
            detail=_why_no_cuda(),
        )
    index, count = device.index or 0, torch.cuda.device_count()
    if index >= count:
        raise Unable(
            "device",
            f"{name} is not available: there are {count} CUDA devices",
            fix=f"use cuda:0 to cuda:{count - 1}",
        )
    return torch.device("cuda", index)


def device_name(device: torch.device) -> str:
    """As the framework names it: ``cpu``, ``NVIDIA H200``."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)


def synchronize(device: torch.device) -> None:
    """Waits until the device has done what was asked of it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def release() -> None:
    """Gives back what PyTorch keeps of GPUs for later: the other side's process computes on them too."""
    torch.cuda.empty_cache()  # does nothing where CUDA was never used


def move(module: torch.nn.Module, device: torch.device, whose: str) -> tuple[str, ...]:
    """Moves the module and checks that all of it is there.

    Returns:
        Notes on plain tensor attributes that `.to()` leaves behind: the usual cause of two devices in one
        operation.

    Raises:
        Unable: a parameter or buffer is not on the device after it, or there is no room.
    """
    with running(f"moving {whose} to {device}", device):
        module.to(device)
    found = misplaced(module, device)
    held = [each for each in found if each.kind != "attribute"]
    if held:
        raise Unable(
            "model",
            f"{_listed([each.message for each in held])}: {whose} did not move to {device}",
            fix="a module that overrides .to() or _apply() must move its parameters and buffers",
            causes=tuple(each.cause for each in held[:_SHOWN]),
        )
    if not found:
        return ()
    strays = _listed([each.message for each in found])
    return (f"{whose}: {strays}; tensors that are no buffers don't move with the module",)


def enforce_eval(module: torch.nn.Module, whose: str) -> tuple[str, ...]:
    """Puts the whole tree in eval mode, also what overrides `eval` or `train`. Returns notes on the latter.

    Raises:
        Unable: a module can't be put in eval mode.
    """
    with user_code(f"calling eval() on {whose}"):
        module.eval()
    resisting = {name: child for name, child in module.named_modules() if child.training}
    for child in resisting.values():
        with user_code(f"putting {type(child).__qualname__} in eval mode"):
            child.training = False
    still = [_name(name) for name, child in resisting.items() if child.training]
    if still:
        raise Unable(
            "model",
            f"{_listed(still)} of {whose} can't be put in eval mode",
            fix="let 'training' be what eval() sets: a model in train mode is not what is exported",
        )
    if not resisting:
        return ()
    names = _listed([_name(name) for name in resisting])
    return (f"{whose}: {names} stayed in train mode after eval(), and had to be put in eval mode",)


@contextmanager
def running(doing: str, device: torch.device, module: torch.nn.Module | None = None) -> Iterator[None]:
    """`user_code`, with a better answer to what goes wrong with devices: what of `module` is elsewhere."""
    try:
        with user_code(doing):
            yield
    except Unable as error:
        cause = error.__cause__
        if isinstance(cause, torch.OutOfMemoryError):
            raise Unable(
                "device",
                f"{device} has not enough memory for {doing}",
                fix="use smaller inputs, or a device with more memory",
                detail=error.detail,
            ) from cause
        if cause is not None and any(said in str(cause) for said in _TWO_DEVICES):
            _name_tensors(error, cause, device, module)
        raise


def _name_tensors(
    error: Unable, cause: BaseException, device: torch.device, module: torch.nn.Module | None
) -> None:
    """Says which tensors were on another device: PyTorch names an argument of the operation at most."""
    found = met_on_two_devices(cause, module, device)[:_SHOWN] if module is not None else []
    if not found:
        error.fix = (
            "make tensors on the device of the inputs, and register constants with register_buffer "
            "so that they move with the module"
        )
        return
    error.problem = f"{error.problem.rstrip('!.')}; {'; '.join(each.message for each in found)}"
    error.fix = "; ".join(dict.fromkeys(each.remedy for each in found))
    error.causes = tuple(each.cause for each in found)


def _why_no_cuda() -> str:
    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]
    except (RuntimeError, AssertionError) as error:
        return str(error)
    return ""


def _name(path: str) -> str:
    return path or "the module itself"


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
