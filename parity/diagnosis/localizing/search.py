"""Who is to blame for what a graph lacks of its module."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from parity.diagnosis.matching.kinds import LAYOUT, OWN_LAYOUT, TORCH_PERMUTING, may_stand_for, torch_name
from parity.diagnosis.matching.pairing import Matches, essential
from parity.diagnosis.matching.soundness import ROUNDING
from parity.diagnosis.tracing import Trace, TracedOp

from .answers import Localization, Suspect
from .regions import Regions

_BIASED = frozenset(["Gemm", "Conv", "ConvTranspose"])  # the bias is an input of theirs
_WITHOUT_BIAS = 2  # their other inputs
_AHEAD = 2048  # tensors of the module that are looked at for the one that should have been
_FAR = 0.5  # a relative distance beyond which one tensor is as little alike as another


def localize(graph: Trace, module: Trace, matches: Matches, output: str) -> Localization:
    """Finds the first suspects for one output of the graph.

    What counts is the jump from a node's inputs to its outputs. What differs but heals, on every way to the
    output, is no suspect; nor are constants and shape arithmetic: the node that takes them is.

    Args:
        graph: the ONNX graph's trace.
        module: the PyTorch module's.
        matches: of the two, by `match`.
        output: by its ONNX name; nothing is found for one that either trace lacks.
    """
    if output not in graph.outputs or output not in module.outputs:
        return Localization()
    return _Search(Regions(graph, module, matches, output)).answer()


@dataclass(frozen=True, slots=True)
class _Blame:
    """A node at fault.

    Args:
        op: the node.
        reason: in words.
        users: PyTorch operators of the missing part that take what it takes, or what it gives in vain.
        dropped: the graph lacks the first of them.
    """

    op: TracedOp
    reason: str
    users: tuple[TracedOp, ...] = ()
    dropped: bool = False


class _Search:
    def __init__(self, regions: Regions) -> None:
        self._of = regions

    def answer(self) -> Localization:
        """The suspects, and what the first of them should have given."""
        if not self._of.region:
            return Localization()
        blames: dict[int, _Blame] = {}
        for op in (*self._narrowing(), *self._of.first()):
            blame = self._blame(op)
            blames.setdefault(blame.op.index, blame)
        found = list(blames.values())
        region = self._of.region | {blame.op.index: blame.op for blame in found}
        return Localization(
            tuple(self._suspect(blame) for blame in found),
            tuple(op for _, op in sorted(region.items())),
            self._counterpart(found[0]) if found else None,
        )

    def _narrowing(self) -> list[TracedOp]:
        """Casts of the region that lose something, if the module's missing part has none: they stand out.

        Even where their operand is inside of what the exporter made of one operator.
        """
        if any(torch_name(self._of.module.ops[index]) == "to_copy" for index in self._of.missing):
            return []
        return [op for op in self._of.region.values() if op.op_type == "Cast" and self._loses(op)][:1]

    def _loses(self, op: TracedOp) -> bool:
        operand, result = (
            self._of.graph.tensors[index].sketch if index is not None else None
            for index in (op.inputs[0], op.outputs[0])
        )
        return operand is not None and result is not None and not operand.distance(result) <= ROUNDING

    def _blame(self, op: TracedOp) -> _Blame:
        """The node at fault, given the first whose result is off: it, or one before it that misled it."""
        if self._of.end in op.outputs and self._of.soundness.sound[self._of.end]:
            return self._blame_output(op)
        # A cast gives what it takes: what is off is its own.
        for index in dict.fromkeys(op.inputs) if op.op_type != "Cast" else ():
            if index is None or index in self._of.matches.fixed or self._of.graph.producer(index) is None:
                continue
            found = self._blame_input(op, index)
            if found is not None:
                return found
        return _Blame(op, "its inputs are right and its result is not", tuple(self._of.users_of_inputs(op)))

    def _blame_output(self, op: TracedOp) -> _Blame:
        """The output is a tensor that the module has, but not as this output."""
        users = self._of.users(self._of.end)
        if users:
            reason = f"its result is the output, without the {torch_name(users[0])} of the module"
            return _Blame(op, reason, tuple(users), dropped=True)
        return _Blame(
            self._astray(self._of.end) or op, "the module has its result elsewhere, not as this output"
        )

    def _blame_input(self, op: TracedOp, index: int) -> _Blame | None:
        users = self._of.users(index)
        if not users:
            astray = self._astray(index)
            reason = "it gives a tensor that the module uses elsewhere"
            return _Blame(astray, reason, tuple(self._of.users_of_inputs(astray))) if astray else None
        biased = self._lacks_bias(index, users)
        if biased is not None:
            return _Blame(biased, "it lacks the bias of the module", tuple(users))
        producer = self._of.graph.producer(index)
        names = {torch_name(user) for user in users}
        permuted = names <= TORCH_PERMUTING and op.op_type not in OWN_LAYOUT
        if permuted and producer is not None and producer.op_type == "Transpose":
            return _Blame(producer, "its result has another layout in the module", tuple(users))
        if any(may_stand_for(op, user) is not False for user in self._of.behind_layout(op, users)):
            return None
        return self._after_dropped(op, index, users)

    def _after_dropped(self, op: TracedOp, index: int, users: Sequence[TracedOp]) -> _Blame:
        """The module goes on from this tensor with an operator that the graph lacks."""
        first = op
        while (producer := self._of.graph.producer(index)) is not None:
            source = self._same_before(producer, index)
            if source is None:
                break
            first, index = producer, source
        reason = f"it follows directly, without the {torch_name(users[0])} of the module"
        return _Blame(first, reason, tuple(users), dropped=True)

    def _same_before(self, op: TracedOp, result: int) -> int | None:
        """The input of a node that its result equals, and that the module's missing part takes."""
        twins = self._of.twins(result)
        candidates = (index for index in op.inputs if index is not None)
        return next(
            (each for each in candidates if self._of.twins(each) & twins and self._of.users(each)), None
        )

    def _lacks_bias(self, index: int, users: Sequence[TracedOp]) -> TracedOp | None:
        """The node that gave a tensor, if the module adds a bias to it that this node could have had."""
        producer = self._of.graph.producer(index)
        if producer is None or producer.op_type not in _BIASED or torch_name(users[0]) != "add":
            return None
        added = [self._of.module.tensors[each] for each in users[0].inputs if each is not None]
        bias = any(each.constant and each.sketch is not None and each.sketch.size > 1 for each in added)
        has_one = sum(each is not None for each in producer.inputs) > _WITHOUT_BIAS
        return producer if bias and not has_one else None

    def _astray(self, index: int) -> TracedOp | None:
        """The earliest of the layout nodes right before a tensor that the missing part does not take."""
        found = None
        producer = self._of.graph.producer(index)
        while producer is not None and producer.op_type in LAYOUT:
            found = producer
            source = next((each for each in producer.inputs if each is not None), None)
            if source is None or source in self._of.matches.fixed or self._of.users(source):
                break
            producer = self._of.graph.producer(source)
        return found

    def _counterpart(self, blame: _Blame) -> int | None:
        """The missing PyTorch tensor that should have been: the nearest by value of those of its shape."""
        if blame.dropped:
            return next((index for index in blame.users[0].outputs if index is not None), None)
        wanted = self._of.graph.tensors[self._suspect(blame).tensor].sketch
        if wanted is None:
            return None
        shape = essential(wanted.shape)
        ahead = self._of.onwards(blame.users, layout_only=False)
        tensors = (
            self._of.module.tensors[index] for op in ahead for index in op.outputs if index is not None
        )
        found = [
            (min(wanted.rms_distance(each.sketch), _FAR), each.index)
            for each in islice(tensors, _AHEAD)
            if each.sketch is not None and essential(each.sketch.shape) == shape
        ]
        return min(found)[1] if found else None

    def _suspect(self, blame: _Blame) -> Suspect:
        op = blame.op
        outputs = [index for index in op.outputs if index is not None]
        tensor = next((each for each in outputs if not self._of.soundness.sound[each]), outputs[0])
        distance = self._of.matches.distance(tensor)
        return Suspect(op, tensor, self._of.soundness.inherited(op), distance, blame.reason)
