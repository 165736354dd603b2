"""What a constant of a file may come from: parameters and buffers, and what exporters make of several."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from parity.artifacts import Array

# PyTorch's order of gates -> that of ONNX: LSTM i,f,g,o -> i,o,f,c; GRU r,z,n -> z,r,h.
_ORDERS = {4: (0, 3, 1, 2), 3: (1, 0, 2), 1: (0,)}
_OPERATORS = {4: "LSTM", 3: "GRU", 1: "RNN"}
_RECURRENT = re.compile(r"(?P<stem>.*\bweight_)ih(?P<layer>(_l\d+)?)$")


@dataclass(frozen=True, eq=False)
class Candidate:
    """A value that a constant of the file may have.

    Args:
        name: of the parameter, or of several.
        value: as PyTorch has it, or, for recurrent layers, as ONNX lays it out.
        operator: the only operator that takes it, with `slot` the index of the input; empty for a plain one.
    """

    name: str
    value: Array
    operator: str = ""
    slot: int = -1
    gates: int = 0

    @property
    def module(self) -> str:
        """The path of the module that it is of."""
        return self.name.partition(",")[0].rpartition(".")[0]

    @cached_property
    def signature(self) -> tuple[float, float, float]:
        """Least, greatest and mean element: the same in any layout."""
        return signature(self.value)

    @cached_property
    def glimpses(self) -> dict[tuple[int, ...], Array]:
        """A few elements in each layout, by shape: kept for those who compare it with many."""
        return {}

    @cached_property
    def some_rows(self) -> dict[tuple[int, ...], list[Array]]:
        """Some output channels in each layout, by shape and axis; kept likewise."""
        return {}


def signature(value: Array) -> tuple[float, float, float]:
    """Least, greatest and mean element."""
    if not value.size:
        return 0.0, 0.0, 0.0
    with np.errstate(invalid="ignore", over="ignore"):
        return float(value.min()), float(value.max()), float(value.mean(dtype=np.float64))


class Checkpoint:
    """All candidates, looked up by name and by size."""

    def __init__(self, state: Mapping[str, torch.Tensor]) -> None:
        self.by_name: dict[str, Candidate] = {}
        shared: dict[tuple[object, ...], Candidate] = {}
        for name, tensor in state.items():
            if not torch.is_tensor(tensor) or not tensor.is_floating_point() or tensor.is_meta:
                continue
            key = (tensor.data_ptr(), tuple(tensor.shape), tensor.stride(), tensor.dtype)
            if tensor.numel() == 0 or key not in shared:  # tied weights are one
                shared[key] = Candidate(name, _array(tensor))
            self.by_name[name] = shared[key]
        self.plain = tuple(dict.fromkeys(self.by_name.values()))
        self.recurrent = tuple(_recurrent(self.by_name))
        self._by_size: dict[int, list[Candidate]] = defaultdict(list)
        for candidate in (*self.plain, *self.recurrent):
            self._by_size[candidate.value.size].append(candidate)

    def of_size(self, size: int) -> list[Candidate]:
        """All with this many elements."""
        return self._by_size.get(size, [])

    def named(self, name: str) -> Candidate | None:
        """The parameter of this name; a wrapper around the module may have added to the front of either."""
        if name in self.by_name:
            return self.by_name[name]
        if "." not in name:
            return None
        ends = [each for each in self.by_name if _ends_with(each, name) or _ends_with(name, each)]
        return self.by_name[ends[0]] if len(ends) == 1 else None


def _ends_with(name: str, tail: str) -> bool:
    return "." in tail and name.endswith(f".{tail}")


def _array(tensor: torch.Tensor) -> Array:
    tensor = tensor.detach()
    if tensor.layout != torch.strided:
        tensor = tensor.to_dense()
    if tensor.dtype not in (torch.float16, torch.float32, torch.float64):
        tensor = tensor.float()
    return np.asarray(tensor.cpu().numpy())


def _recurrent(state: Mapping[str, Candidate]) -> Iterator[Candidate]:
    """Weights of LSTM, GRU and RNN as their ONNX operators take them: directions stacked, gates reordered."""
    for name in state:
        match = _RECURRENT.match(name)
        hidden = state.get(f"{match['stem']}hh{match['layer']}") if match else None
        if match is None or hidden is None or hidden.value.ndim != 2:
            continue
        size = hidden.value.shape[0]
        # With projections the hidden weight has fewer columns than the layer has units.
        units = _units(state, name, hidden)
        gates = size // units if units and size % units == 0 else 0
        if gates not in _ORDERS:
            continue
        for slot, kinds in ((1, ("weight_ih",)), (2, ("weight_hh",)), (3, ("bias_ih", "bias_hh"))):
            stem = match["stem"].removesuffix("weight_")
            yield from _stacked(state, [f"{stem}{kind}{match['layer']}" for kind in kinds], gates, slot)


def _units(state: Mapping[str, Candidate], name: str, hidden: Candidate) -> int:
    projection = state.get(name.replace("weight_ih", "weight_hr"))
    return int((projection or hidden).value.shape[1])


def _stacked(state: Mapping[str, Candidate], names: list[str], gates: int, slot: int) -> Iterator[Candidate]:
    """One direction alone, the reverse one, and both on each other, of these parameters side by side."""
    directions = [names, [f"{name}_reverse" for name in names]]
    parts = {
        i: np.concatenate([_reordered(state[name].value, gates) for name in of])
        for i, of in enumerate(directions)
        if all(name in state for name in of)
    }
    chosen = [[0, 1], [0], [1]] if len(parts) == 2 else [[i] for i in parts]
    blocks = gates * len(names)
    for which in chosen:
        name = ", ".join(each for i in which for each in directions[i])
        stack = np.stack([parts[i] for i in which])
        yield Candidate(name, stack, _OPERATORS[gates], slot, blocks)


def _reordered(value: Array, gates: int) -> Array:
    blocks = np.split(value, gates)
    return np.concatenate([blocks[i] for i in _ORDERS[gates]])
