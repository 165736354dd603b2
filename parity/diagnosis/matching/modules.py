"""How far each PyTorch module's result is off in the ONNX graph, and how much of it is its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from torch import nn

from parity.diagnosis.tracing import Trace, TracedOp
from parity.records.diagnosis import ModuleErrors

from .pairing import Matches, essential, match
from .placing import Place, enclosing, inside, module_paths

_SOUND = 1e-5  # relative root mean square that rounding may reach


def module_errors(
    graph: Trace,
    module: Trace,
    matches: Matches,
    mended: Trace | None,
    root: nn.Module,
    places: Mapping[str, Place],
) -> tuple[ModuleErrors, ...]:
    """The errors of every module whose result is in the trace, in the order of the forward.

    A module's result is its last floating tensor that is used after control has left it, or else its last. Of
    several calls of one module, the one with the greatest error counts.

    Args:
        graph: the ONNX graph's trace.
        module: the PyTorch module's.
        matches: of the two.
        mended: the trace of the same graph with its fault put right, tensors having the same names: it tells
            which tensor stands for which beyond the fault, and what a module adds of its own there.
        root: the PyTorch module.
        places: of the graph's nodes, by `places`; the last resort.
    """
    alignment = _Alignment(graph, module, matches, mended, places)
    modules = module_paths(root)
    worst: dict[str, ModuleErrors] = {}
    for call in sorted(_calls(module), key=lambda each: (each.first, each.path.count("."), len(each.path))):
        held = modules.get(call.path)
        if held is None:
            continue
        errors = alignment.errors(call, type(held).__name__)
        before = worst.get(call.path)
        if before is None or (errors.total or 0.0) > (before.total or 0.0):
            worst[call.path] = errors
    return tuple(worst.values())


@dataclass(frozen=True, slots=True)
class _Call:
    """One stay of control in a module: its operators from the first to before the last."""

    path: str
    first: int
    end: int
    result: int  # tensor
    source: str


def _calls(module: Trace) -> Iterator[_Call]:
    """Every stay in every module. Two calls right after each other count as one."""
    entered: dict[str, int] = {}
    for op in module.ops:
        around = set(enclosing(op.module))
        for path in [each for each in entered if each not in around]:
            yield from _call(module, path, entered.pop(path), op.index)
        for path in around:
            entered.setdefault(path, op.index)
    for path, first in entered.items():
        yield from _call(module, path, first, len(module.ops))


def _call(module: Trace, path: str, first: int, end: int) -> Iterator[_Call]:
    given = [
        (index, op)
        for op in reversed(module.ops[first:end])
        for index in op.outputs
        if index is not None and _counts(module, index)
    ]
    outputs = set(module.outputs.values())
    handed_on = (
        entry
        for entry in given
        if entry[0] in outputs or any(user.index >= end for user in module.consumers[entry[0]])
    )
    found = next(handed_on, given[0] if given else None)
    if found is not None:
        yield _Call(path, first, end, found[0], found[1].source)


def _counts(trace: Trace, index: int) -> bool:
    tensor = trace.tensors[index]
    return not tensor.constant and tensor.sketch is not None and tensor.sketch.is_float


class _Alignment:
    """Which ONNX tensor stands for a PyTorch tensor, and how far it is off."""

    def __init__(
        self,
        graph: Trace,
        module: Trace,
        matches: Matches,
        mended: Trace | None,
        places: Mapping[str, Place],
    ) -> None:
        self._graph, self._module, self._mended, self._places = graph, module, mended, places
        self._by_value = matches.by_counterpart
        self._by_mended = match(mended, module).by_counterpart if mended is not None else {}
        self._by_place: dict[str, list[TracedOp]] = {}
        for op in graph.ops:
            place = places.get(op.node)
            for path in enclosing(place.module) if place is not None else ():
                self._by_place.setdefault(path, []).append(op)

    def errors(self, call: _Call, type_name: str) -> ModuleErrors:
        """The errors of one call."""
        total = self._off(call.result, call.path)
        # What is no tensor of the graph, such as a convolution's result before its batch norm was folded, has
        # the error of what it is made of. But without the mended graph it may also be what the fault changed.
        through = self._mended is not None or (total is not None and total <= _SOUND)
        off = [self._levels[index] if through else self._off(index) for index in self._inputs(call)]
        inherited = max((each for each in off if each is not None), default=None)
        local = None
        if inherited is not None and inherited <= _SOUND:
            local = total
        elif total is not None and self._mended is not None:
            local = self._off_mended(call.result)
        return ModuleErrors(
            module=call.path,
            type=type_name,
            source=call.source,
            total=total,
            inherited=inherited,
            local=local,
        )

    def _inputs(self, call: _Call) -> Iterator[int]:
        """Floating tensors that come from outside."""
        seen: set[int] = set()
        for op in self._module.ops[call.first : call.end]:
            for index in op.inputs:
                if index is None or index in seen or not _counts(self._module, index):
                    continue
                seen.add(index)
                given = self._module.tensors[index].op
                if given is None or not call.first <= given < call.end:
                    yield index

    def _off(self, index: int, path: str | None = None) -> float | None:
        """The error of what stands for a PyTorch tensor: by value in the mended graph, by value, by place."""
        if self._mended is not None and (found := self._nearest_mended(index)) is not None:
            tensor = self._graph.by_name.get(self._mended.tensors[found].name)
            if tensor is not None:
                return self._distance(self._graph, tensor.index, index)
        for found in self._by_value.get(index, ()):
            return self._distance(self._graph, found, index)
        return None if path is None or self._mended is not None else self._off_by_place(index, path)

    @cached_property
    def _levels(self) -> list[float | None]:
        """By PyTorch tensor: its error, or else the greatest of what it is made of."""
        levels: list[float | None] = []
        for tensor in self._module.tensors:
            level = self._off(tensor.index) if tensor.sketch is not None and not tensor.constant else None
            if level is None and tensor.op is not None:
                read = (index for index in self._module.ops[tensor.op].inputs if index is not None)
                levels_read = (levels[index] for index in read if index < tensor.index)
                level = max((each for each in levels_read if each is not None), default=None)
            levels.append(level)
        return levels

    def _off_mended(self, index: int) -> float | None:
        found = self._nearest_mended(index)
        if found is None or self._mended is None:
            return None
        return self._distance(self._mended, found, index)

    def _nearest_mended(self, index: int) -> int | None:
        return next(iter(self._by_mended.get(index, ())), None)

    def _off_by_place(self, index: int, path: str) -> float | None:
        """Of the last tensor of this shape that the graph computes in the module and hands on as it does."""
        wanted = self._module.tensors[index].sketch
        assert wanted is not None
        onwards = {user.module for user in self._module.consumers[index] if not inside(user.module, path)}
        for op in reversed(self._by_place.get(path, ())):
            for output in op.outputs:
                held = self._graph.tensors[output].sketch if output is not None else None
                if output is None or held is None or essential(held.shape) != essential(wanted.shape):
                    continue
                users = [self._places.get(user.node) for user in self._graph.consumers[output]]
                # A folded layer's result is not computed anywhere, only that of the layer behind it.
                if not onwards or any(place is not None and place.module in onwards for place in users):
                    return self._distance(self._graph, output, index)
        return None

    def _distance(self, trace: Trace, index: int, counterpart: int) -> float | None:
        found, wanted = trace.tensors[index].sketch, self._module.tensors[counterpart].sketch
        if found is None or wanted is None or found.size != wanted.size:
            return None
        return found.rms_distance(wanted)
