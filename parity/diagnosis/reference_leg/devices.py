"""What of a module is not on its device: the usual cause of two devices in one operation."""

from __future__ import annotations

import dataclasses
import linecache
import re
import traceback
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from parity.records.diagnosis import Cause

Kind = Literal["parameter", "buffer", "attribute", "variable"]
_Named = tuple[Kind, str, Tensor]
_HELD = {"attribute": "plain tensor attribute", "variable": "variable of the code"}
_DEPTH = 2  # containers within an attribute that are looked into
_OWN = frozenset(["_parameters", "_buffers", "_modules"])  # what `named_parameters` and the like give


@dataclass(frozen=True)
class Misplaced:
    """A tensor of a module that is on another device.

    Args:
        name: its path from the root: ``head.decoder.anchors[0]``; in a frame, the name there.
        kind: how the module holds it; a variable is the forward's own.
        shape: of the tensor.
        device: where it is.
        expected: where the module is.
        source: where an operation met it: ``model.py:31``.
    """

    name: str
    kind: Kind
    shape: tuple[int, ...]
    device: torch.device
    expected: torch.device
    source: str = ""

    @property
    def message(self) -> str:
        """What is wrong, one sentence without a full stop."""
        held = _HELD.get(self.kind, self.kind)
        shape = f"({', '.join(map(str, self.shape))})"
        used = f" (used at {self.source})" if self.source else ""
        return f"{self.name}, a {held} of shape {shape}, is on {self.device}, not on {self.expected}{used}"

    @property
    def cause(self) -> Cause:
        """As the report has it."""
        return Cause(
            kind="device", leg="reference", message=self.message, remedy=self.remedy, tensor=self.name
        )

    @property
    def remedy(self) -> str:
        """One line that mends it."""
        if self.kind == "variable":
            return f"make {self.name} on the device of the inputs: device=x.device"
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
    named = [each for path, child in module.named_modules() for each in _tensors(child, path)]
    order = {"parameter": 0, "buffer": 1, "attribute": 2}
    return _elsewhere(sorted(named, key=lambda each: order[each[0]]), device)


def met_on_two_devices(error: BaseException, module: nn.Module, device: torch.device) -> list[Misplaced]:
    """The tensors that an operation met on another device, by the frames that its error went through.

    The innermost frame of a module's code counts that has any: those of the module itself, and the variables
    of the code; where its line names some of them, these alone. All of the module's where no frame has one.
    """
    paths = {id(child): path for path, child in module.named_modules()}
    for frame, number in reversed(list(traceback.walk_tb(error.__traceback__))):
        variables = dict(frame.f_locals)
        owner = variables.pop("self", None)
        if id(owner) not in paths:
            continue
        local: Iterator[_Named] = (
            ("variable", name, tensor)
            for variable, value in variables.items()
            for name, tensor in _within(variable, value, _DEPTH)
        )
        found = _elsewhere([*_tensors(owner, paths[id(owner)]), *local], device)
        line = linecache.getline(frame.f_code.co_filename, number)
        prefix = f"{paths[id(owner)]}."
        named = [each for each in found if _is_named(each.name.removeprefix(prefix), line)]
        if found:
            source = f"{Path(frame.f_code.co_filename).name}:{number}"
            return [replace(each, source=source) for each in named or found]
    return misplaced(module, device)


def _is_named(name: str, line: str) -> bool:
    """Whether a line of code has a word of ``grids['fine'][0]``."""
    words = re.findall(r"\w+", line)
    return any(word in words for word in re.findall(r"[^\W\d]\w*", name))


def _elsewhere(named: Iterable[_Named], device: torch.device) -> list[Misplaced]:
    found: dict[int, Misplaced] = {}
    for kind, name, tensor in named:
        if not _same(tensor.device, device):
            found.setdefault(id(tensor), Misplaced(name, kind, tuple(tensor.shape), tensor.device, device))
    return list(found.values())


def _tensors(module: nn.Module, path: str) -> Iterator[_Named]:
    """What a module holds itself, with names from the root."""
    prefix = f"{path}." if path else ""
    for name, parameter in module.named_parameters(recurse=False):
        yield "parameter", prefix + name, parameter
    for name, buffer in module.named_buffers(recurse=False):
        yield "buffer", prefix + name, buffer
    for attribute, value in list(vars(module).items()):
        if attribute not in _OWN:
            for name, tensor in _within(prefix + attribute, value, _DEPTH):
                yield "attribute", name, tensor


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
