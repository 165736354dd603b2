"""A PyTorch result of any nesting -> named tensors.

The path of a tensor is made of dict keys, field names and positions, joined by dots: ``preds.0.heatmap``.
A bare tensor is called ``output``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch

from parity.artifacts import Array
from parity.worker.problems import Unable

Leaf = torch.Tensor | Array  # an array only where PyTorch has no such tensor (strings), or the model gave one

BARE = "output"

_SYMBOLIC = {torch.SymInt: torch.int64, torch.SymFloat: torch.float32, torch.SymBool: torch.bool}


def flatten(result: object, *, origin: str = "the model") -> dict[str, Leaf]:
    """Every tensor in `result` by its path, in the order of the result.

    None is left out, as the exporters do. Python numbers become tensors of no dimension, strings become
    string arrays. Dicts (and what behaves like them), lists, tuples, named tuples and dataclasses nest.

    Args:
        result: what a forward or a pipeline returned.
        origin: who returned it, for errors.

    Raises:
        Unable: the result holds something else, contains itself, gives two tensors one path, or is empty.
    """
    leaves: dict[str, Leaf] = {}
    for path, leaf in _walk(result, (), (), origin):
        name = ".".join(path) or BARE
        if name in leaves:
            raise Unable(
                "model",
                f"two tensors of the result of {origin} have the path {name!r}",
                fix="rename one of the keys: a dot in a key reads like nesting",
            )
        leaves[name] = leaf
    if not leaves:
        raise Unable("model", f"{origin} returned no tensor, but {_kind(result)}", fix="return the outputs")
    return leaves


def _walk(
    node: object, path: tuple[str, ...], above: tuple[int, ...], origin: str
) -> Iterator[tuple[tuple[str, ...], Leaf]]:
    if node is None:
        return
    leaf = as_leaf(node)
    if leaf is not None:
        yield path, leaf
        return
    children = _children(node, path, origin)
    if id(node) in above:
        raise Unable(
            "model", f"the result of {origin} contains itself {_at(path)}", fix="return tensors only"
        )
    for key, child in children:
        yield from _walk(child, (*path, key), (*above, id(node)), origin)


def as_leaf(node: object) -> Leaf | None:
    """The tensor that a value stands for; None when it is none."""
    if isinstance(node, torch.Tensor | np.ndarray):
        return node
    if isinstance(node, str | np.generic):
        return np.asarray(node)
    if isinstance(node, bool | float | complex):
        return torch.tensor(node)
    if isinstance(node, int):
        return torch.tensor(node) if -(2**63) <= node < 2**63 else None
    if isinstance(node, torch.SymInt | torch.SymFloat | torch.SymBool):  # numbers while an exporter traces
        return torch.scalar_tensor(node, dtype=_SYMBOLIC[type(node)])  # type: ignore[arg-type]
    return None


def _children(node: object, path: tuple[str, ...], origin: str) -> list[tuple[str, Any]]:
    if isinstance(node, Mapping):  # before dataclasses: the outputs of Hugging Face models are both
        return [(_key(key, path, origin), value) for key, value in node.items()]
    if isinstance(node, tuple) and hasattr(node, "_fields"):
        return [(field, getattr(node, field)) for field in node._fields]
    if isinstance(node, list | tuple):
        return [(str(index), value) for index, value in enumerate(node)]
    if dataclasses.is_dataclass(node) and not isinstance(node, type):
        return [(field.name, getattr(node, field.name)) for field in dataclasses.fields(node)]
    raise Unable(
        "model",
        f"{origin} returned {_kind(node)} {_at(path)}, which is no tensor",
        fix="return tensors in dicts, lists, tuples, named tuples or dataclasses",
    )


def _key(key: object, path: tuple[str, ...], origin: str) -> str:
    if isinstance(key, str | int):
        return str(key)
    raise Unable(
        "model",
        f"{origin} returned a dict with {_kind(key)} as a key {_at(path)}",
        fix="use strings as keys: they name the outputs",
    )


def _at(path: tuple[str, ...]) -> str:
    return f"at {'.'.join(path)!r}" if path else "at the top"


def _kind(node: object) -> str:
    kind = type(node)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return "None" if node is None else f"an object of type {name}"
