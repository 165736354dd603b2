"""Where an optimizer went wrong: the first tensor whose value it changed, and the nodes that it replaced."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from onnx import ModelProto, NodeProto, ValueInfoProto

from parity.artifacts import Array
from parity.diagnosis.onnx64.constants import load
from parity.diagnosis.runtime_leg.backend import PRODUCTION, UNOPTIMIZED, Backend, How, epsilon

_ULPS = 64.0  # of the largest element: less is rounding


@dataclass(frozen=True)
class Replacement:
    """What an optimizer put in the place of some nodes.

    Args:
        node: of the file, whose result differs first; one that the optimizers made where the file has none.
        tensor: that result.
        replaced: nodes before it that are gone with the optimizer.
        by: operators that stand there now.
        found: the result with the optimizer.
        expected: without.
    """

    node: NodeProto
    tensor: str
    replaced: tuple[NodeProto, ...]
    by: tuple[str, ...]
    found: Array
    expected: Array


def find_replacement(
    backend: Backend, path: str, feeds: Mapping[str, Array], mended: How, output: str
) -> Replacement | None:
    """Compares the optimized graphs with and without the optimizer; None where no tensor of both differs.

    Raises:
        Unable: the runtime can't save or run an optimized graph.
    """
    faulty, sound = backend.optimized(path, PRODUCTION), backend.optimized(path, mended)
    ours, theirs = _producers(sound), _producers(faulty)
    reached = _ancestors(ours, output)
    changed = [
        name
        for node in sound.graph.node
        for name in node.output
        if name in theirs and name in reached and _key(theirs[name]) != _key(node)
    ]
    if not changed:
        return None
    expected, found = (_values(backend, model, feeds, changed) for model in (sound, faulty))
    tensor = next((name for name in changed if _differs(found[name], expected[name])), None)
    if tensor is None:
        return None
    return Replacement(
        node=_producers(load(path)[0]).get(tensor, ours[tensor]),
        tensor=tensor,
        replaced=tuple(_vanished(ours, theirs, tensor)),
        by=tuple(dict.fromkeys(node.op_type for node in _vanished(theirs, ours, tensor))),
        found=found[tensor],
        expected=expected[tensor],
    )


def _producers(model: ModelProto) -> dict[str, NodeProto]:
    return {name: node for node in model.graph.node for name in node.output if name}


def _key(node: NodeProto) -> tuple[object, ...]:
    """All that decides a node's result, given the values of its inputs."""
    attributes = sorted(attribute.SerializeToString(deterministic=True) for attribute in node.attribute)
    return (node.domain, node.op_type, tuple(node.input), tuple(attributes))


def _ancestors(producers: Mapping[str, NodeProto], output: str) -> set[str]:
    reached, waiting = {output}, [output]
    while waiting:
        node = producers.get(waiting.pop())
        new = [name for name in node.input if name and name not in reached] if node else []
        reached.update(new)
        waiting.extend(new)
    return reached


def _vanished(
    ours: Mapping[str, NodeProto], theirs: Mapping[str, NodeProto], tensor: str
) -> Iterator[NodeProto]:
    """The node of a tensor in one graph, and those before it whose results the other graph does not have."""
    waiting, seen = [tensor], {tensor}
    while waiting:
        node = ours[waiting.pop()]
        yield node
        for name in node.input:
            if name in ours and name not in theirs and name not in seen:
                seen.add(name)
                waiting.append(name)


def _values(
    backend: Backend, model: ModelProto, feeds: Mapping[str, Array], names: list[str]
) -> Mapping[str, Array]:
    """Tensors inside of a graph that is optimized already."""
    declared = {value.name for value in model.graph.output}
    model.graph.output.extend(ValueInfoProto(name=name) for name in names if name not in declared)
    return backend.open(model, UNOPTIMIZED)(feeds)


def _differs(found: Array, expected: Array) -> bool:
    if found.shape != expected.shape:
        return True
    unit = epsilon(expected.dtype)
    if unit is None:
        return not np.array_equal(found, expected)
    wide, other = found.astype(np.float64), expected.astype(np.float64)
    both = np.isfinite(wide) & np.isfinite(other)
    if bool((np.isfinite(wide) != np.isfinite(other)).any()):
        return True
    scale = float(np.abs(other[both]).max(initial=0.0))
    return not float(np.abs(wide - other)[both].max(initial=0.0)) <= _ULPS * unit * scale
