"""What of a module is not on its device: the usual cause of two devices in one operation."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from parity.records.diagnosis import Cause

_DEPTH = 2  # containers within an attribute that are looked into
_OWN = frozenset(["_parameters", "_buffers", "_modules"])  # what `named_parameters` and the like give


@dataclass(frozen=True)
class Misplaced:
    """A tensor of a module that is on another device.

    Args:
        name: its path from the root: ``head.decoder.anchors[0]``.
        kind: how the module holds it.
        device: where it is.
        expected: where the module is.
    """

    name: str
    kind: Literal["parameter", "buffer", "attribute"]
    device: torch.device
    expected: torch.device

    @property
    def message(self) -> str:
        """What is wrong, one sentence without a full stop."""
        held = "plain tensor attribute" if self.kind == "attribute" else self.kind
        return f"{self.name}, a {held}, is on {self.device}, the module on {self.expected}"

    @property
    def remedy(self) -> str:
        """One line that mends it."""
        if self.kind != "attribute":
            return f'call module.to("{self.expected}") after the last change of {self.name}'
        path, _, attribute = self.name.rpartition(".")
        owner = f"{path}: " if path else ""
        if attribute.isidentifier():
            return (
                f'{owner}self.register_buffer("{attribute}", ..., persistent=False), so that .to() moves it'
            )
        return f"{owner}make it a buffer, or take it .to(x.device) in forward"


def misplaced(module: nn.Module, device: torch.device) -> list[Misplaced]:
    """Every parameter, buffer and plain tensor attribute that is not on the device.

    Attributes are looked for in the modules' own dicts, and in lists, tuples, dicts and dataclasses there,
    two levels deep. A tensor met under several names is given once. ``cuda`` stands for any CUDA device.
    """
    found: dict[int, Misplaced] = {}
    for kind, named in _tensors(module):
        for name, tensor in named:
            if not _same(tensor.device, device):
                found.setdefault(id(tensor), Misplaced(name, kind, tensor.device, device))
    return list(found.values())


def device_causes(module: nn.Module, device: torch.device) -> tuple[Cause, ...]:
    """One cause for each tensor that is on another device."""
    return tuple(
        Cause(kind="device", leg="reference", message=each.message, remedy=each.remedy, tensor=each.name)
        for each in misplaced(module, device)
    )


def _tensors(
    module: nn.Module,
) -> Iterator[tuple[Literal["parameter", "buffer", "attribute"], Iterable[tuple[str, Tensor]]]]:
    yield "parameter", module.named_parameters()
    yield "buffer", module.named_buffers()
    for path, child in module.named_modules():
        for attribute, value in list(vars(child).items()):
            if attribute not in _OWN:
                yield "attribute", _within(f"{path}.{attribute}".lstrip("."), value, _DEPTH)


def _within(name: str, value: Any, depth: int) -> Iterator[tuple[str, Tensor]]:
    """Tensors that a value is or holds, with their names."""
    if isinstance(value, Tensor):
        yield name, value
    elif depth and isinstance(value, Mapping):
        for key, each in value.items():
            yield from _within(f"{name}[{key!r}]", each, depth - 1)
    elif depth and isinstance(value, list | tuple):
        for index, each in enumerate(value):
            yield from _within(f"{name}[{index}]", each, depth - 1)
    elif depth and dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield from _within(f"{name}.{field.name}", getattr(value, field.name, None), depth - 1)


def _same(one: torch.device, other: torch.device) -> bool:
    return one.type == other.type and (other.index is None or one.index == other.index)
