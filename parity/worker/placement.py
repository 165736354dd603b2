"""Who runs each node of an ONNX Runtime session, and which tensors cross between execution providers.

ONNX Runtime records the assignment when it divides the graph: after the basic optimizations, before those of
the providers. What crosses is worked out on that graph, with the shapes that the inputs of a run give it.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from parity.artifacts import numpy_dtype
from parity.records.placement import Crossing, Crossings, Misplaced, Placement
from parity.worker.onnx_files import dtype_name

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto, ValueInfoProto

RECORDING = "session.record_ep_graph_assignment_info"
_MOST = 20  # names of one operator's nodes, and crossing tensors, that are kept
_SMALL = 1024  # bytes of an initializer that shape inference may want to read
_LOOP = "it is in a subgraph, and how often that runs is not known"

Key = tuple[str, str, str]  # name, operator, domain
Shape = tuple[int, ...]


def assigned_nodes(native: Any) -> list[tuple[str, Key]]:
    """Each node of a session that has recorded it with `RECORDING`, and the provider that runs it."""
    return [
        (part.ep_name, (node.name, node.op_type, _domain(node.domain)))
        for part in native.get_provider_graph_assignment_info()
        for node in part.get_nodes()
    ]


def placement_of(native: Any, component: str, requested: str) -> Placement:
    """The placement of a session's nodes; what crosses is not known before its first run."""
    try:
        assigned = assigned_nodes(native)
    except Exception as error:  # noqa: BLE001 - before 1.24; switched off by the user's session_config
        why = f"ONNX Runtime does not tell: {error}"
        return Placement(component=component, requested=requested, nodes={}, unknown=why)
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for provider, (name, op_type, domain) in assigned:
        if provider != requested:
            groups[f"{domain}::{op_type}" if domain else op_type, provider].append(name)
    return Placement(
        component=component,
        requested=requested,
        nodes=dict(Counter(provider for provider, _ in assigned)),
        elsewhere=tuple(
            Misplaced(op_type=op_type, provider=provider, count=len(names), nodes=tuple(names[:_MOST]))
            for (op_type, provider), names in sorted(groups.items(), key=lambda group: -len(group[1]))
        ),
    )


def crossings_of(
    model: ModelProto, assigned: Iterable[tuple[str, Key]], shapes: Mapping[str, Shape], input_set: str
) -> Crossings:
    """What crosses between providers in one run.

    Args:
        model: the graph as ONNX Runtime divided it; without external data. It is changed.
        assigned: as `assigned_nodes` gives them.
        shapes: of the inputs, by name.
        input_set: names these inputs.
    """
    providers: dict[Key, set[str]] = defaultdict(set)
    for provider, key in assigned:
        providers[key].add(provider)
    walk = _Walk(providers)
    walk.graph(model.graph, {}, repeated=False)
    known = _sizes(model, shapes)
    found = [_sized(edge, known) for edge in walk.edges]
    found.sort(key=lambda crossing: -1 if crossing.bytes is None else crossing.bytes, reverse=True)
    return Crossings(
        input_set=input_set,
        count=len(found),
        bytes=sum(crossing.bytes or 0 for crossing in found),
        unknown=_unknown(found, walk.unplaced),
        largest=tuple(found[:_MOST]),
    )


class _Walk:
    """Goes through a graph in its order, and keeps each tensor that two providers share, once for each pair.

    `unplaced` are operators of nodes that no provider, or more than one, was recorded for.
    """

    def __init__(self, providers: Mapping[Key, set[str]]) -> None:
        self._providers = providers
        self.edges: dict[tuple[str, str, str, bool], None] = {}  # tensor, source, target, in a subgraph
        self.unplaced: Counter[str] = Counter()

    def graph(self, graph: GraphProto, outer: Mapping[str, str], *, repeated: bool) -> dict[str, str]:
        """Follows a graph; `outer` has the providers that make the tensors around it. Gives those in it."""
        sources = dict(outer)
        for value in (*graph.input, *graph.initializer):
            sources.pop(value.name, None)  # it hides what has that name outside
        for node in graph.node:
            if node.op_type == "Constant":
                continue  # becomes an initializer
            target = self._provider(node)
            for body in _bodies(node):
                made = self.graph(body, sources, repeated=True)
                self._read([value.name for value in body.output], made, target, repeated=True)
            if target is None:
                self.unplaced[node.op_type] += 1
                continue
            self._read(node.input, sources, target, repeated=repeated)
            sources.update(dict.fromkeys(filter(None, node.output), target))
        return sources

    def _read(
        self, tensors: Iterable[str], sources: Mapping[str, str], target: str | None, *, repeated: bool
    ) -> None:
        for tensor in tensors:
            source = sources.get(tensor)
            if source is not None and target is not None and source != target:
                self.edges[tensor, source, target, repeated] = None

    def _provider(self, node: NodeProto) -> str | None:
        found = self._providers.get((node.name, node.op_type, _domain(node.domain)), set())
        return next(iter(found)) if len(found) == 1 else None


def _bodies(node: NodeProto) -> Iterator[GraphProto]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def _sized(edge: tuple[str, str, str, bool], sizes: Mapping[str, int | str]) -> Crossing:
    tensor, source, target, repeated = edge
    size = _LOOP if repeated else sizes.get(tensor, "shape inference gives it no shape")
    if isinstance(size, int):
        return Crossing(tensor=tensor, source=source, target=target, bytes=size)
    return Crossing(tensor=tensor, source=source, target=target, unknown=size)


def _unknown(found: Iterable[Crossing], unplaced: Counter[str]) -> str:
    reasons = [f"{crossing.tensor!r}: {crossing.unknown}" for crossing in found if crossing.unknown]
    if unplaced:
        operators = ", ".join(f"{op_type} x {count}" for op_type, count in unplaced.most_common(3))
        reasons.insert(0, f"{unplaced.total()} nodes can't be told apart or were rewritten ({operators})")
    more = f", and {len(reasons) - 2} more" if len(reasons) > 2 else ""
    return "; ".join(reasons[:2]) + more


def _sizes(model: ModelProto, shapes: Mapping[str, Shape]) -> dict[str, int | str]:
    """Bytes of the graph's tensors when its inputs have these shapes, or why they are not known."""
    from onnx import shape_inference

    graph = model.graph
    declared = {value.name: value.type.tensor_type for value in graph.value_info}
    del graph.value_info[:]  # it may hold for other inputs than these
    for value in graph.input:
        if value.name in shapes:
            _give_shape(value, shapes[value.name])
    for tensor in graph.initializer:
        if len(tensor.raw_data) > _SMALL:
            tensor.ClearField("raw_data")  # only its shape counts, and inference copies the whole model
    try:
        graph = shape_inference.infer_shapes(model, data_prop=True).graph
    except Exception as error:  # noqa: BLE001 - a class of its own for each kind of bad model
        reason = f"shapes can't be inferred: {str(error).strip().splitlines()[0]}"
        return {name: reason for node in graph.node for name in node.output}
    inferred = {value.name: value.type.tensor_type for value in (*graph.value_info, *graph.output)}
    names = [name for node in graph.node for name in node.output]
    return {
        name: _size([kind for kind in (inferred.get(name), declared.get(name)) if kind]) for name in names
    }


def _size(kinds: list[Any]) -> int | str:
    """Of the first of these tensor types that says it."""
    for kind in kinds:
        dims = [dim.dim_value if dim.HasField("dim_value") else -1 for dim in kind.shape.dim]
        if kind.elem_type and kind.HasField("shape") and min(dims, default=0) >= 0:
            dtype = dtype_name(kind.elem_type)
            if dtype == "string":
                return "strings have no fixed size"
            return math.prod(dims) * numpy_dtype(dtype).itemsize
    return "its shape depends on the values of other tensors, or shape inference does not know its operator"


def _give_shape(value: ValueInfoProto, shape: Shape) -> None:
    kind = value.type.tensor_type
    kind.shape.Clear()
    kind.shape.SetInParent()
    for size in shape:
        kind.shape.dim.add().dim_value = size


def _domain(domain: str) -> str:
    return "" if domain == "ai.onnx" else domain
