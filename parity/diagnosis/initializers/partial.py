"""A constant that is a slice of one parameter, or several parameters side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from parity.artifacts import Array

from .candidates import Candidate
from .layouts import same

_TRIES = 64  # places that begin with the right number and then turn out wrong


def find_slice(found: Array, candidates: Sequence[Candidate]) -> str:
    """The parameter that `found` is a slice of, with the slice: ``positions.weight[0:8]``; empty if none."""
    for candidate in candidates:
        if candidate.value.size <= found.size:
            continue
        for view, transposed in _orientations(candidate.value):
            axis = _only_difference(found.shape, view.shape)
            if axis is None or view.shape[axis] <= found.shape[axis]:
                continue
            for start in _starts(found, view, axis):
                stop = start + found.shape[axis]
                if same(found, np.moveaxis(np.moveaxis(view, axis, 0)[start:stop], 0, axis)):
                    place = view.ndim - 1 - axis if transposed else axis
                    return f"{candidate.name}[{':, ' * place}{start}:{stop}]"
    return ""


def find_stack(found: Array, candidates: Sequence[Candidate]) -> str:
    """The parameters that are side by side in `found`, with commas between them; empty if they are not."""
    for axis in range(found.ndim):
        parts = [
            (candidate.name, view)
            for candidate in candidates
            if candidate.value.size < found.size
            for view, _ in _orientations(candidate.value)
            if _only_difference(found.shape, view.shape) == axis and view.shape[axis] < found.shape[axis]
        ]
        if parts and (names := _fill(found, axis, parts)):
            return ", ".join(names)
    return ""


def _fill(found: Array, axis: int, parts: list[tuple[str, Array]]) -> list[str]:
    """Covers `found` from its start with one part after the other; a part may come twice, but not alone."""
    corner = (0,) * found.ndim
    firsts = np.array([float(view[corner]) for _, view in parts])
    rows = np.moveaxis(found, axis, 0)
    names: list[str] = []
    start = 0
    while start < len(rows):
        first = float(rows[(start, *corner[1:])])
        likely = np.flatnonzero(np.abs(firsts - first) <= 1e-3 * abs(first) + 1e-6)[:_TRIES]
        for index in likely:
            name, view = parts[index]
            stop = start + view.shape[axis]
            if stop <= len(rows) and same(rows[start:stop], np.moveaxis(view, axis, 0)):
                names.append(name)
                start = stop
                break
        else:
            return []
    return names


def _orientations(value: Array) -> Iterator[tuple[Array, bool]]:
    """As it is and, of a matrix, transposed."""
    yield value, False
    if value.ndim == 2:
        yield value.T, True


def _only_difference(shape: tuple[int, ...], other: tuple[int, ...]) -> int | None:
    """The one axis along which two shapes differ."""
    if len(shape) != len(other):
        return None
    axes = [axis for axis, (one, two) in enumerate(zip(shape, other, strict=True)) if one != two]
    return axes[0] if len(axes) == 1 else None


def _starts(found: Array, view: Array, axis: int) -> list[int]:
    """Where along an axis the first element of `found` is."""
    corner = (0,) * found.ndim
    first = float(found[corner])
    where: tuple[int | slice, ...] = (slice(None), *corner[1:])
    line = np.moveaxis(view, axis, 0)[where].astype(np.float64)
    line = line[: len(line) - found.shape[axis] + 1]
    return [int(i) for i in np.flatnonzero(np.abs(line - first) <= 1e-3 * abs(first) + 1e-6)[:_TRIES]]
