"""Sequences and optionals: lists, and `None` for an optional without a value."""

from __future__ import annotations

from itertools import accumulate, pairwise

import numpy as np
import torch

from parity.artifacts import Array
from parity.diagnosis.onnx64.operators.casting import AnyOperator
from parity.diagnosis.onnx64.program import Node
from parity.diagnosis.onnx64.values import Value, as_ints, tensor_like


def _sequence(value: Value) -> list[Value]:
    if isinstance(value, list):
        return value
    raise TypeError(f"a sequence is needed here, not {type(value).__name__}")


def _at(_node: Node, sequence: Value, position: Value) -> Value:
    return _sequence(sequence)[as_ints(position)[0]]


def _insert(_node: Node, sequence: Value, item: Value, position: Value = None) -> Value:
    items = list(_sequence(sequence))
    place = len(items) if position is None else as_ints(position)[0]
    if not -len(items) <= place <= len(items):
        raise IndexError(f"position {place} is outside a sequence of {len(items)}")
    items.insert(place, item)
    return items


def _erase(_node: Node, sequence: Value, position: Value = None) -> Value:
    items = list(_sequence(sequence))
    del items[-1 if position is None else as_ints(position)[0]]
    return items


def _concatenate(node: Node, sequence: Value) -> Value:
    items = _sequence(sequence)
    axis, new = node.integer("axis"), node.integer("new_axis")
    if all(isinstance(item, torch.Tensor) for item in items):
        return torch.stack(items, axis) if new else torch.cat(items, axis)  # type: ignore[arg-type]
    arrays: list[Array] = items  # type: ignore[assignment]
    return np.stack(arrays, axis) if new else np.concatenate(arrays, axis)


def _split(node: Node, x: Value, given: Value = None) -> Value:
    tensor = tensor_like(x)
    axis = node.integer("axis") % tensor.ndim
    size = tensor.shape[axis]
    if given is None:
        sizes, keep = [1] * size, bool(node.integer("keepdims", 1))
    else:
        wanted, keep = as_ints(given), True
        one = tensor_like(given).ndim == 0
        sizes = [min(wanted[0], size - start) for start in range(0, size, wanted[0])] if one else wanted
    if sum(sizes) != size:
        raise ValueError(f"{size} elements can't be split into {sizes}")
    parts: list[Value] = []
    for start, stop in pairwise(accumulate(sizes, initial=0)):
        if isinstance(tensor, torch.Tensor):
            part = tensor.narrow(axis, start, stop - start)
            parts.append(part if keep else part.squeeze(axis))
        else:
            chosen = np.take(tensor, range(start, stop), axis)
            parts.append(chosen if keep else chosen.squeeze(axis))
    return parts


OPERATORS: dict[str, AnyOperator] = {
    "ConcatFromSequence": _concatenate,
    "Optional": lambda _node, x=None: x,
    "OptionalGetElement": lambda _node, x: x,
    "OptionalHasElement": lambda _node, x=None: torch.tensor(x is not None),
    "SequenceAt": _at,
    "SequenceConstruct": lambda _node, *items: list(items),
    "SequenceEmpty": lambda _node: [],
    "SequenceErase": _erase,
    "SequenceInsert": _insert,
    "SequenceLength": lambda _node, sequence: torch.tensor(len(_sequence(sequence))),
    "SplitToSequence": _split,
}
