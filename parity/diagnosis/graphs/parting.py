"""Two computed tensors that are not alike: where the graphs part, and how.

Nodes of one operator are compared attribute by attribute and their inputs paired. Otherwise the most likely
of these is taken: nodes are missing in the file, it has extra ones, or some stand in the place of others.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from onnx import NodeProto

from parity.diagnosis.graphs.findings import Edge, Finding, Redirect
from parity.diagnosis.graphs.hashing import Hashes
from parity.diagnosis.graphs.nodes import NodeComparison
from parity.diagnosis.graphs.similarity import Ancestor, above, same_operator
from parity.diagnosis.graphs.view import View, label
from parity.diagnosis.graphs.wording import Operand, missing_message, narrowing

if TYPE_CHECKING:
    from parity.diagnosis.graphs.walking import Walk

# A pair that is less alike than this is no pair: the graphs have nothing to do with each other here.
_PAIR = 0.4
_STEP = 0.03  # what a node that must be skipped to find a pair takes from its likeness
_ANCHORED = 0.9  # nodes of the same operator that share an input
_BELONGING = 0.4  # taken from the likeness of what lies beyond nodes that both graphs have
_NEAR = 4  # nodes above a tensor among which the layer is looked for that it comes from
_SAME = 0.1  # in favour of nodes of the same operator


@dataclass(frozen=True)
class Task:
    """A pair of tensors on the list.

    Args:
        edge: of the file, that takes `found`; None where it is not to be put right by itself.
        found: of the file.
        expected: of the fresh export.
        operand: what it is to the computed node that takes it, through constants too.
    """

    edge: Edge | None
    found: str
    expected: str
    operand: Operand | None


class Parting:
    """Explains pairs of a walk: what it finds, and the pairs to be looked at next, go into the walk."""

    def __init__(self, walk: Walk, nodes: NodeComparison) -> None:
        self._walk, self._nodes = walk, nodes
        self._pairing, self._file, self._fresh = walk.pairing, walk.file, walk.fresh

    def explain(self, task: Task) -> Finding | None:
        """Notes the likeliest explanation of a pair, and puts the pairs before it on the list."""
        found, expected = task.found, task.expected
        left, right = self._file.producers.get(found), self._fresh.producers.get(expected)
        elsewhere = self._taken_elsewhere(found, expected)
        hashes = self._pairing.hashes(found, expected)
        if (
            hashes[0].skeleton == hashes[1].skeleton
            and not elsewhere
            and left is not None
            and right is not None
        ):
            return self._same(task, left, right)
        return self._rewired(task) if elsewhere and not self._gone(task) else self._explained(task)

    def _gone(self, task: Task) -> bool:
        """Whether the tensor, right as it is, stands there because what follows on it is missing."""
        nearest = self._best(
            (each, self._pairing.alike(task.found, each.name)) for each in above(self._fresh, task.expected)
        )
        return nearest[1] >= 0.9

    def _explained(self, task: Task) -> Finding | None:
        """Missing nodes, extra nodes, others, or the same: whichever is the likeliest."""
        found, expected = task.found, task.expected
        left, right = self._file.producers.get(found), self._fresh.producers.get(expected)
        pairing = self._pairing
        missing, likely_missing = self._best(
            (
                each,
                pairing.alike(found, each.name)
                - _belonging(each, self._fresh, pairing.fresh_hashes, pairing.file_hashes),
            )
            for each in above(self._fresh, expected)
        )
        likely_same = likely_other = 0.0
        if left is not None and right is not None:
            if same_operator(left, right):
                likely_same = self._pairing.alike(found, expected) + _SAME
                # In a network of many like blocks the next is much like this one; what both share decides.
                if self._pairing.anchored(found, expected):
                    likely_same = max(likely_same, _ANCHORED)
            else:
                likely_other = self._nodes.replaceable(left, right)
        extra, likely_extra = self._best(
            (
                each,
                pairing.alike(each.name, expected)
                - _belonging(each, self._file, pairing.file_hashes, pairing.fresh_hashes),
            )
            for each in above(self._file, found)
        )
        best = max(likely_same, likely_missing, likely_extra, likely_other)
        if best < _PAIR:
            self._walk.lost += 1
            return self._edges(task, left, right, "is not what stands there in a fresh export")
        if left is not None and right is not None and likely_same == best:
            return self._same(task, left, right)
        if missing is not None and likely_missing == best:
            return self._missing(task, missing)
        if extra is not None and likely_extra == best:
            return self._extra(task, extra)
        assert left is not None
        assert right is not None
        return self._nodes.replace(task.edge, found, expected)

    def _best(self, candidates: Iterable[tuple[Ancestor, float]]) -> tuple[Ancestor | None, float]:
        best: tuple[Ancestor | None, float] = (None, 0.0)
        for each, likeness in candidates:
            score = likeness - _STEP * len(each.way)
            if score > best[1]:
                best = (each, score)
        return best

    def _taken_elsewhere(self, found: str, expected: str) -> bool:
        """Whether the tensor is right where others take it, and so only wrong here."""
        one, other = self._pairing.hashes(found, expected)
        file, fresh = self._pairing.file_hashes.counts, self._pairing.fresh_hashes.counts
        return file[one.exact] <= fresh[one.exact] and file[other.exact] > 0

    def _rewired(self, task: Task) -> Finding:
        right = self._fresh.producers.get(task.expected)
        name = self._pairing.file_hashes.names[self._pairing.fresh_hashes.of[task.expected].exact]
        self._walk.mapped.setdefault(task.expected, name)
        return self._edges(
            task, self._taker(task), right, f"takes {task.found!r} in the file, {name!r} in a fresh export"
        )

    def _same(self, task: Task, left: NodeProto, right: NodeProto) -> Finding | None:
        """Nodes of one operator; they may have given the wrong one of their outputs."""
        finding = None
        one, other = list(left.output).index(task.found), list(right.output).index(task.expected)
        if one != other:
            finding = self._edges(
                task,
                self._taker(task),
                right,
                f"takes output {one} of {label(left)} in the file, {other} in a fresh export",
            )
        self._nodes.compare(left, right, None)
        return finding

    def _missing(self, task: Task, missing: Ancestor) -> Finding:
        nodes = missing.way[::-1]
        taker = self._taker(task)
        message = missing_message(nodes, self._file.producers.get(task.found), taker)
        self._walk.push(None, task.found, missing.name, None)
        named = taker or self._file.producers.get(task.found)
        finding = self._edges(task, named, nodes[0], message)
        if all(narrowing(node) for node in nodes):
            finding.kind = "precision"
        return finding

    def _extra(self, task: Task, extra: Ancestor) -> Finding:
        nodes = extra.way[::-1]
        self._walk.push(None, extra.name, task.expected, None)
        named = ", ".join(node.op_type for node in nodes)
        message = f"{named} on {extra.name!r}: a fresh export has none there"
        finding = self._edges(task, nodes[0], self._fresh.producers.get(task.expected), message)
        if any(narrowing(node) for node in nodes):
            finding.kind = "precision"
        return finding

    def _taker(self, task: Task) -> NodeProto | None:
        """The node of the file that takes the tensor of a pair; None for an output of the graph."""
        if task.edge is None or task.edge.slot < 0:
            return None
        return self._file.taker(self._file.producers[task.edge.node], task.edge.slot)

    def _edges(self, task: Task, node: NodeProto | None, right: NodeProto | None, message: str) -> Finding:
        """A finding that is put right by giving the edges another tensor."""
        edges = [task.edge] if task.edge is not None else []
        finding = Finding(
            "structure",
            node or self._file.producers.get(task.found),
            message,
            output=task.found,
            counterpart=right,
            fixes=[Redirect(task.expected, edges)],
            edges=edges,
        )
        self._walk.findings["edge", task.found, task.expected] = finding
        return finding


def _belonging(skipped: Ancestor, view: View, here: Hashes, there: Hashes) -> float:
    """What speaks against nodes being extra or missing: that the other graph has weights of theirs.

    So does a branch that joins them, such as a residual block, unless the other graph computes it alike, too.
    """
    way = {name for node in skipped.way for name in node.output} | {skipped.name}
    for node in skipped.way:
        if not there.known.isdisjoint(_weights(node, view, here)):
            return _BELONGING
        for name in view.parents(node):
            joins = name and name not in way and view.constant(name) is None
            alone = joins and not there.counts[here.of[name].exact]
            if alone and not there.known.isdisjoint(_weights_above(name, view, here)):
                return _BELONGING
    return 0.0


def _weights(node: NodeProto, view: View, hashes: Hashes) -> set[int]:
    """The constants of more than one element that a node takes."""
    return {
        hashes.of[name].exact
        for name in node.input
        if name and (value := view.constant(name)) is not None and value.size > 1
    }


def _weights_above(name: str, view: View, hashes: Hashes) -> set[int]:
    """The nearest ones that a tensor is computed from."""
    layer = [name]
    for _ in range(_NEAR):
        nodes = [node for each in layer if (node := view.producers.get(each)) is not None]
        found = set[int]().union(*(_weights(node, view, hashes) for node in nodes))
        if found:
            return found
        layer = [parent for node in nodes for parent in view.parents(node) if parent]
    return set()
