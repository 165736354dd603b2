"""Outputs of ONNX Runtime that are no plain tensors -> arrays, named as `flatten` names PyTorch's."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from parity.artifacts import Array, dtype_name, numpy_dtype
from parity.records.tensors import ValueInfo
from parity.worker.problems import Unable

MOST_LEAVES = 10_000  # a ZipMap makes one of each number: it is no way to return a large tensor


def leaves(value: ValueInfo, result: object, path: str) -> Iterator[tuple[str, Array]]:
    """Every tensor of one output by its name, ``probabilities.0.cat``; none of an optional one without value.

    Args:
        value: as the file declares it.
        result: an array, a list or dict of such to any depth, a number or text, or None.
        path: of the file, for errors.

    Raises:
        Unable: ``onnx``; a dtype is lost on the way, or there are more than 10,000.
    """
    for count, (name, leaf) in enumerate(_walk(value.name, result)):
        if count == MOST_LEAVES:
            raise Unable(
                "onnx",
                f"the output {value.name!r} of {path} is made of more than {MOST_LEAVES:,} values",
                fix="export it as one tensor (zipmap=False)",
            )
        yield name, _array(leaf, value, path)


def _walk(name: str, node: object) -> Iterator[tuple[str, object]]:
    if isinstance(node, dict):
        for key, child in node.items():
            yield from _walk(f"{name}.{key}", child)
    elif isinstance(node, list):
        for index, child in enumerate(node):
            yield from _walk(f"{name}.{index}", child)
    elif node is not None:
        yield name, node


def _array(leaf: object, value: ValueInfo, path: str) -> Array:
    if not isinstance(leaf, np.ndarray):  # a number or text of a map
        return np.asarray(leaf, numpy_dtype(value.dtype))
    array = np.asarray(leaf, dtype=np.str_ if leaf.dtype == object else None)
    if dtype_name(array.dtype) != value.dtype:
        raise Unable(
            "onnx",
            f"{path} has {value.dtype} beside strings, sequences, maps or optional values, and ONNX Runtime "
            f"then gives {dtype_name(array.dtype)}: not supported yet",
        )
    return array
