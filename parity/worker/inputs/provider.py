"""Input sets from the user's own code: a callable that yields ``{name: tensor}``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from parity.artifacts import Array
from parity.worker.flattening import as_leaf
from parity.worker.problems import Unable, user_code
from parity.worker.targets import import_target
from parity.worker.tensors import to_numpy

_END = object()


class Provider:
    """The input sets of one callable, each taken once and in order.

    Args:
        target: the callable; called without arguments.
        base_dir: the specification's folder.
        samples: take so many, and no fewer; None: until it ends.
    """

    def __init__(self, target: str, base_dir: Path, samples: int | None) -> None:
        self._sets = provided_sets(target, base_dir, samples)
        self._taken = 0

    def at(self, index: int) -> dict[str, Array] | None:
        """The set at this position, those before it left out; None when there are no more.

        Raises:
            Unable: as `provided_sets`, or ``tool`` for a set that was taken already.
        """
        if index < self._taken:
            raise Unable("tool", f"input set {index} of the provider was taken already")
        while self._taken <= index:
            tensors = next(self._sets, None)
            if tensors is None:
                return None
            self._taken += 1
        return tensors


def provided_sets(target: str, base_dir: Path, samples: int | None) -> Iterator[dict[str, Array]]:
    """What the callable yields, one input set at a time, so that it may yield without end.

    Args:
        target: the callable; called without arguments.
        base_dir: the specification's folder.
        samples: take so many; None: until it ends.

    Raises:
        Unable: the code raises, or yields something else than tensors by name, nothing, or fewer than asked.
    """
    doing = f"asking {target} for inputs"
    call = import_target(target, base_dir)
    with user_code(doing):
        iterable = call()
    if not isinstance(iterable, Iterable) or isinstance(iterable, Mapping | torch.Tensor | np.ndarray | str):
        raise Unable(
            "input",
            f"{target} returned {_kind(iterable)}, no input sets",
            fix="yield one {input name: tensor} for each sample",
        )
    with user_code(doing):
        remaining = islice(iter(iterable), samples)
    count = 0
    while True:
        with user_code(doing):
            item = next(remaining, _END)  # None may well be what the code yields by mistake
        if item is _END:
            break
        yield _tensors(item, f"{target}, input set {count}")
        count += 1
    if not count:
        raise Unable("input", f"{target} yielded no input set", fix="yield at least one {input name: tensor}")
    if samples is not None and count < samples:
        raise Unable(
            "input",
            f"{target} yielded {count} of the {samples} input sets that samples asks for",
            fix="leave `samples` out to take what there is",
        )


def _tensors(item: object, where: str) -> dict[str, Array]:
    if not isinstance(item, Mapping):
        raise Unable("input", f"{where}: it is {_kind(item)}, no dict", fix="yield {input name: tensor}")
    if not item:
        raise Unable("input", f"{where}: the dict is empty", fix="yield a tensor for each input")
    for name in item:
        if not isinstance(name, str):
            raise Unable(
                "input", f"{where}: the key {name!r} is no string", fix="use the names of the inputs"
            )
    return {name: _array(value, name, where) for name, value in item.items()}


def _array(value: object, name: str, where: str) -> Array:
    leaf = as_leaf(value)
    if isinstance(leaf, torch.Tensor):
        return to_numpy(leaf, name)
    if leaf is not None and leaf.dtype != np.object_:
        return leaf
    raise Unable(
        "input",
        f"{where}: {name!r} is {_kind(value)}, no tensor",
        fix="make it a torch.Tensor, a NumPy array or a number",
    )


def _kind(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of dtype {value.dtype}"
    return "None" if value is None else f"an object of type {type(value).__qualname__}"
