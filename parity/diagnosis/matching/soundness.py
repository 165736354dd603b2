"""Which ONNX tensors are what they should be: by the jump of the error at each node."""

from __future__ import annotations

from parity.diagnosis.tracing import Trace, TracedOp

from .kinds import LAYOUT, OWN_LAYOUT
from .pairing import Matches

# In float64 only the float32 rounding of attributes and folded weights is left: about 1e-7 of the root mean
# square, ten times that at single elements. It grows from node to node, faster where terms cancel.
ROUNDING = 4e-6
_AMPLIFICATION = 20.0
_LIMIT = 1e-3  # what has grown beyond this is no rounding


class Soundness:
    """Every ONNX tensor judged, in the order of evaluation.

    Args:
        graph: the ONNX graph's trace.
        module: the PyTorch module's.
        matches: between the two.

    Attributes:
        sound: by tensor; it equals a PyTorch tensor as far as rounding allows. So do, by definition, inputs,
            constants and shape arithmetic.
        level: by tensor; its distance from its counterpart; that of its worst input where it has none.
    """

    def __init__(self, graph: Trace, module: Trace, matches: Matches) -> None:
        self._graph, self._module, self._matches = graph, module, matches
        self.level = [0.0] * len(graph.tensors)
        self.sound = [tensor.op is None or tensor.index in matches.fixed for tensor in graph.tensors]
        self._clean = [True] * len(graph.tensors)  # neither it nor any tensor before it has jumped
        self._claimed: set[int] = set()  # PyTorch tensors that have been met on the way
        self._stale: set[int] = set()  # tensors that equal only such, after something that equals none
        for op in graph.ops:
            self._judge(op)

    def inherited(self, op: TracedOp) -> float:
        """The greatest error among the inputs of a node."""
        return max((self.level[index] for index in self._read(op)), default=0.0)

    def output(self, name: str) -> tuple[bool, float]:
        """Whether an output is the one of that name in the module, and its distance from it."""
        tensor = self._graph.tensors[self._graph.outputs[name]]
        found, wanted = tensor.sketch, self._module.tensors[self._module.outputs[name]].sketch
        if found is None or wanted is None:
            return False, float("inf")
        distance = found.distance(wanted)
        op = self._graph.producer(tensor.index)
        return distance <= (ROUNDING if op is None else self._bound(op)), distance

    def _judge(self, op: TracedOp) -> None:
        read = self._read(op)
        inherited, bound = self.inherited(op), self._bound(op)
        clean = all(self._clean[index] for index in read)
        # A part of what has no match, as a fused product's, may well be one that has been met.
        lost = any(index in self._stale for index in read) or (
            op.op_type not in LAYOUT and any(not self._matches.by_tensor[index] for index in read)
        )
        for index in op.outputs:
            if index is None or index in self._matches.fixed:
                continue
            distance = self._matches.distance(index)
            twins = {match.tensor for match in self._matches.by_tensor[index] if match.exact}
            if distance is None:
                self.level[index], self._clean[index] = inherited, clean
                relaid = op.op_type in OWN_LAYOUT and bool(self._matches.by_tensor[index])
                self.sound[index] = clean and relaid
            elif lost and twins <= self._claimed:
                # What should have come is lost, and this is what has been here before: x + 0 is no x + f(x).
                self.level[index], self._clean[index] = inherited, clean
                self._stale.add(index)
            else:
                self.level[index] = distance
                self.sound[index] = self._clean[index] = distance <= bound
            self._claimed |= twins

    def _bound(self, op: TracedOp) -> float:
        """The greatest distance of its outputs that rounding explains."""
        if not all(self._clean[index] for index in self._read(op)):
            return ROUNDING
        return min(max(ROUNDING, _AMPLIFICATION * self.inherited(op)), _LIMIT)

    def _read(self, op: TracedOp) -> list[int]:
        return [index for index in op.inputs if index is not None and index not in self._matches.fixed]
