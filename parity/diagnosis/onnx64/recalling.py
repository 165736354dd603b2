"""Values that an earlier evaluation computed alike: what lies above a change is not computed again.

A value's key tells how it came about: the operator with its attributes, and the keys of its operands down to
the bytes of inputs and constants. Values with one key are the same to the bit, whatever graphs they are in.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Mapping
from time import perf_counter
from typing import Generic, TypeVar

import numpy as np
import torch
from onnx import AttributeProto
from onnx.external_data_helper import uses_external_data

from parity.diagnosis.onnx64.execution import Executor, Scope
from parity.diagnosis.onnx64.program import Node, Program
from parity.diagnosis.onnx64.values import Value, as_array

Key = bytes
Note = TypeVar("Note")


class Memory(Generic[Note]):
    """What is known of values by their keys, and as many of the values as there is room for.

    The first evaluation that is given it fills it, later ones read it. At no time more is kept than that
    evaluation itself has held at once so far, so that a value takes at most twice the memory. Of more,
    those go first that took the least time for their size.

    Attributes:
        notes: what the observer noted of each value. A node is passed over only where all of its results
            have a note.
    """

    def __init__(self) -> None:
        self.notes: dict[Key, Note] = {}
        self._values: dict[Key, torch.Tensor] = {}
        self._cheapest: list[tuple[float, Key]] = []  # a heap: seconds a byte
        self._held, self._filled = 0, False

    def __contains__(self, key: Key) -> bool:
        """Whether the value itself is kept."""
        return key in self._values

    def recall(self, key: Key) -> torch.Tensor:
        """A value that is kept; not to be changed."""
        return self._values[key]

    def keep(self, key: Key, value: Value, seconds: float, room: int) -> None:
        """Keeps a value that took so long, if it is worth its place among at most `room` bytes."""
        if self._filled or key in self._values or not isinstance(value, torch.Tensor):
            return
        size = max(1, value.nbytes)
        self._values[key] = value
        self._held += size
        heapq.heappush(self._cheapest, (seconds / size, key))
        while self._held > room:
            _, least = heapq.heappop(self._cheapest)
            self._held -= max(1, self._values.pop(least).nbytes)

    def close(self) -> None:
        """Takes no more."""
        self._filled = True

    def clear(self) -> None:
        """Frees all values and takes no more; the notes stay."""
        self.close()
        self._values.clear()
        self._cheapest.clear()


def run_recalling(
    executor: Executor, program: Program, values: dict[str, Value], memory: Memory[Note], salt: bytes
) -> list[Value]:
    """As `Executor.graph`, without the nodes whose results are known and not needed, or kept.

    `salt` tells apart what else a result depends on: the model's functions, its native type, the device.
    """
    keys = value_keys(program, values, salt)
    due = _due(program, keys, memory)
    scope = Scope(program, values)
    most = 0
    for node in program.nodes:
        if node in due:
            start = perf_counter()
            executor.advance(scope, node, keys)
            seconds = perf_counter() - start
            most = max(most, sum(each.nbytes for each in values.values() if isinstance(each, torch.Tensor)))
            for name in node.outputs:
                if name in keys and name in values:
                    memory.keep(keys[name], values[name], seconds, most)
        else:
            known: dict[str, Value] = {
                name: memory.recall(keys[name])
                for name in node.outputs
                if name in keys and keys[name] in memory
            }
            executor.tell(scope, node, known, keys)
        scope.forget(node)
    memory.close()
    return [scope.read(name) for name in program.outputs]


def _due(program: Program, keys: Mapping[str, Key], memory: Memory[Note]) -> set[Node]:
    """The nodes that must run: from the outputs up to what is kept."""
    needed: set[str] = set(program.outputs)
    due: set[Node] = set()
    for node in reversed(program.nodes):
        named = [name for name in node.outputs if name]
        noted = all(name in keys and keys[name] in memory.notes for name in named)
        if noted and all(keys[name] in memory for name in needed.intersection(named)):
            continue
        due.add(node)
        needed.update(node.reads)
    return due


def value_keys(program: Program, given: Mapping[str, Value], salt: bytes) -> dict[str, Key]:
    """The keys of a main graph's values by name; of those that have one.

    Control flow reads what is around it, so that its results have none, and neither has what depends on them.
    """
    keys: dict[str, Key] = {}
    for name, value in (*program.constants.items(), *given.items()):
        if (content := _content(value)) is not None:
            keys[name] = content
    for node in program.nodes:
        operands = [keys.get(name) if name else b"" for name in node.inputs]
        own = None if node.bodies or None in operands else _own(node)
        if own is None:
            continue
        about = b"|".join([salt, own, *(each or b"-" for each in operands)])
        for index, name in enumerate(node.outputs):
            if name:
                keys[name] = _digest(about, str(index).encode())
    return keys


def _own(node: Node) -> bytes | None:
    """What a node does to its operands; None where its own description does not hold all of it."""
    tensors = [each.t for each in node.proto.attribute if each.type == AttributeProto.TENSOR]
    if any(uses_external_data(tensor) for tensor in tensors):
        return None
    attributes = sorted(each.SerializeToString(deterministic=True) for each in node.proto.attribute)
    types = [node.setting.types.get(name, 0) if name else -1 for name in (*node.inputs, *node.outputs)]
    about = f"{node.op} {node.version} {len(node.inputs)} {types} {[len(each) for each in attributes]}"
    return _digest(about.encode(), *attributes)


def _content(value: Value) -> Key | None:
    if not isinstance(value, torch.Tensor | np.ndarray):
        return None
    array = np.ascontiguousarray(as_array(value))
    if array.dtype.hasobject:
        return None
    return _digest(f"{array.dtype} {np.shape(value)}".encode(), array.reshape(-1).view(np.uint8).data)


def _digest(*parts: bytes | memoryview) -> Key:
    found = hashlib.blake2b(digest_size=16)
    for part in parts:
        found.update(part)
    return found.digest()
