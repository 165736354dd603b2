"""What a graph and a module have in common up to one output, and what from there on they have not."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

from parity.diagnosis.matching.kinds import LAYOUT, TORCH_LAYOUT, torch_name
from parity.diagnosis.matching.pairing import Matches
from parity.diagnosis.matching.soundness import Soundness
from parity.diagnosis.tracing import Trace, TracedOp


class Regions:
    """Both sides behind the last tensors that they share.

    Args:
        graph: the ONNX graph's trace.
        module: the PyTorch module's.
        matches: of the two.
        output: by its ONNX name; both traces have it.

    Attributes:
        end: index of the output in the graph.
        region: nodes from which a way leads to the output without any sound tensor on it, by index, in order;
            empty when the output is sound.
        missing: the same of the module: operators whose results the graph lacks, by index.
    """

    def __init__(self, graph: Trace, module: Trace, matches: Matches, output: str) -> None:
        self.graph, self.module, self.matches = graph, module, matches
        self.end, self._module_end = graph.outputs[output], module.outputs[output]
        self.soundness = Soundness(graph, module, matches)
        self.region = {} if self.soundness.output(output)[0] else self._graph_region()
        self.missing, self._used = self._module_region() if self.region else (frozenset(), {})

    def users(self, index: int) -> list[TracedOp]:
        """PyTorch operators that take this ONNX tensor, and whose results the graph lacks."""
        return [op for twin in sorted(self.twins(index)) for op in self._used.get(twin, ())]

    def users_of_inputs(self, op: TracedOp) -> list[TracedOp]:
        read = (index for index in op.inputs if index is not None and index not in self.matches.fixed)
        return list({user.index: user for index in read for user in self.users(index)}.values())

    def twins(self, index: int) -> set[int]:
        given = {each for name, each in self.module.inputs.items() if self.graph.inputs.get(name) == index}
        return given | {match.tensor for match in self.matches.by_tensor[index] if match.exact}

    def behind_layout(self, node: TracedOp, ops: Sequence[TracedOp]) -> list[TracedOp]:
        """These operators; for a node that computes, in place of those of layout what takes their results."""
        if node.op_type in LAYOUT:
            return list(ops)
        return [op for op in self.onwards(ops, layout_only=True) if torch_name(op) not in TORCH_LAYOUT]

    def onwards(self, ops: Sequence[TracedOp], *, layout_only: bool) -> Iterator[TracedOp]:
        """Missing operators from these on, each once, the nearest first; or past those of layout only."""
        waiting, seen = deque(ops), {op.index for op in ops}
        while waiting:
            op = waiting.popleft()
            yield op
            if layout_only and torch_name(op) not in TORCH_LAYOUT:
                continue
            for index in op.outputs:
                for user in self.module.consumers[index] if index is not None else ():
                    if user.index in self.missing and user.index not in seen:
                        seen.add(user.index)
                        waiting.append(user)

    def _graph_region(self) -> dict[int, TracedOp]:
        """The nodes from which a way leads to the output without any sound tensor on it, by index."""
        region: dict[int, TracedOp] = {}
        waiting = [self.end]
        while waiting:
            index = waiting.pop()
            op = self.graph.producer(index)
            if op is None or op.index in region or (self.soundness.sound[index] and index != self.end):
                continue
            region[op.index] = op
            waiting.extend(each for each in op.inputs if each is not None)
        return dict(sorted(region.items()))

    def _module_region(self) -> tuple[frozenset[int], dict[int, list[TracedOp]]]:
        """The same of the module: operators whose results the graph lacks, by index; and what they take.

        Of what they take, only those tensors that the graph has; with the operators that take them.
        """
        had = {
            match.tensor
            for index, found in enumerate(self.matches.by_tensor)
            if self.soundness.sound[index]
            for match in found
            if match.exact
        }
        missing: set[int] = set()
        used: dict[int, list[TracedOp]] = {}
        waiting = [self._module_end]
        while waiting:
            op = self.module.producer(waiting.pop())
            if op is None or op.index in missing:
                continue
            missing.add(op.index)
            for index in dict.fromkeys(op.inputs):
                if index is None or self.module.tensors[index].constant:
                    continue
                if index in had or self.module.tensors[index].op is None:
                    used.setdefault(index, []).append(op)
                else:
                    waiting.append(index)
        return frozenset(missing), used

    def first(self) -> Iterator[TracedOp]:
        """Nodes of the region that take nothing from within it."""
        within = {index for op in self.region.values() for index in op.outputs if index is not None}
        bad = {index for index in within if not self.soundness.sound[index]}
        return (op for op in self.region.values() if not any(index in bad for index in op.inputs))
