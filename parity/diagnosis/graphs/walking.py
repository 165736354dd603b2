"""Walks two graphs backwards from their outputs, side by side, and notes where they part.

A pair of tensors that are computed alike ends the walk there. Nodes of one operator are compared attribute by
attribute and their inputs paired. Otherwise the most likely of these is taken: nodes are missing in the file,
it has extra ones, or some stand in the place of others.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeGuard

from onnx import NodeProto

from parity.artifacts import Array
from parity.diagnosis.graphs.constants import same
from parity.diagnosis.graphs.findings import Edge, Finding, Fix, Redirect, SetConstant
from parity.diagnosis.graphs.hashing import Hashes
from parity.diagnosis.graphs.nodes import NodeComparison
from parity.diagnosis.graphs.outputs import moved_finding, moved_outputs, output_pairs
from parity.diagnosis.graphs.similarity import Ancestor, Pairing, above, same_operator
from parity.diagnosis.graphs.view import View, key, label
from parity.diagnosis.graphs.wording import Operand, judge_constant, missing_message, narrowing

# A pair that is less alike than this is no pair: the graphs have nothing to do with each other here.
_PAIR = 0.4
_STEP = 0.03  # what a node that must be skipped to find a pair takes from its likeness
_ANCHORED = 0.9  # nodes of the same operator that share an input
_BELONGING = 0.4  # taken from the likeness of what lies beyond nodes that both graphs have
_SAME = 0.1  # in favour of nodes of the same operator


@dataclass(frozen=True)
class _Task:
    edge: Edge | None
    found: str
    expected: str
    operand: Operand | None  # of the computed node that takes it, through constants too


class Walk:
    """The whole comparison. `findings` are in no order; `mapped` has the file's tensor for a fresh one."""

    def __init__(self, pairing: Pairing) -> None:
        self.pairing = pairing
        self.file, self.fresh = pairing.file, pairing.fresh
        self.findings: dict[object, Finding] = {}
        self.mapped: dict[str, str] = {}
        self.lost = 0  # pairs that could not be told
        self._tasks: list[_Task] = []
        self._seen: dict[tuple[str, str], Finding | None] = {}
        self._nodes = NodeComparison(self)

    def run(self) -> None:
        """Compares the outputs, and what they are made of."""
        pairs = output_pairs(self.pairing)
        moved = moved_outputs(self.pairing, pairs)
        if moved:
            self.findings["outputs"] = moved_finding(self.file, moved)
            self.mapped.update((expected, found) for expected, found in moved.values())
        for found, expected in pairs:
            if found not in moved:
                self.push(Edge(found, -1), found, expected, None)
        while self._tasks:
            self._visit(self._tasks.pop())

    def push(self, edge: Edge | None, found: str, expected: str, operand: Operand | None) -> None:
        """Puts a pair of tensors on the list."""
        self._tasks.append(_Task(edge, self.file.resolve(found), self.fresh.resolve(expected), operand))

    def _visit(self, task: _Task) -> None:
        found, expected = task.found, task.expected
        if self.pairing.equal(found, expected):
            self.mapped.setdefault(expected, found)
            return
        if self._is_constant(task):
            return
        if (found, expected) in self._seen:
            finding = self._seen[found, expected]
            if finding is not None and finding.edges is not None and task.edge is not None:
                finding.edges.append(task.edge)
            return
        self._seen[found, expected] = None
        self._seen[found, expected] = self._part(task)

    # --- constants

    def _is_constant(self, task: _Task) -> bool:
        """Compares by value, if one of the two is constant and the other can be had as a constant."""
        one, other = self.file.constant(task.found), self.fresh.constant(task.expected)
        if one is None and other is None:
            return False
        left, right = self.file.producers.get(task.found), self.fresh.producers.get(task.expected)
        if one is None or other is None:
            one, other = self.file.static(task.found), self.fresh.static(task.expected)
            if one is None or other is None:
                return False
            if same(one, other):
                return True
        elif left is not None and right is not None and left.input and same_operator(left, right):
            if (task.found, task.expected) not in self._seen:
                self._seen[task.found, task.expected] = None
                self._nodes.compare(left, right, task.operand)
            return True
        if task.edge is None:
            return True
        self._altered(task, task.edge, one, other)
        return True

    def _altered(self, task: _Task, edge: Edge, one: Array, expected: Array) -> None:
        verdict = judge_constant(self.fresh, task.operand, (task.found, task.expected), (one, expected))
        node = verdict.node
        at = (
            ("attribute", key(node))
            if verdict.kind == "attribute" and node is not None
            else ("constant", task.found, self.pairing.hasher.values.number(expected))
        )
        known = self.findings.get(at)
        exact = self.fresh.constant(task.expected) is not None and self.fresh.exact(task.expected)
        fix = SetConstant(task.found, expected, [edge]) if exact else Redirect(task.expected, [edge])
        if known is None:
            self.findings[at] = Finding(
                verdict.kind,
                node,
                verdict.message,
                tensor=task.found,
                counterpart=verdict.counterpart,
                fixes=[fix],
            )
            return
        for other in known.fixes:
            if _same_fix(other, fix):
                other.edges.append(edge)
                self._name_earlier(known, node)
                return
        known.fixes.append(fix)
        known.more.append(verdict.message)
        known.tensor = known.tensor or task.found

    def _name_earlier(self, finding: Finding, node: NodeProto | None) -> None:
        """Of several nodes that take a wrong constant the first is named."""
        place = self.file.position
        if node is not None and finding.node is not None and place[key(node)] < place[key(finding.node)]:
            finding.node = node

    # --- structure

    def _part(self, task: _Task) -> Finding | None:
        """Takes the likeliest explanation of two computed tensors that are not alike."""
        found, expected = task.found, task.expected
        left, right = self.file.producers.get(found), self.fresh.producers.get(expected)
        elsewhere = self._taken_elsewhere(found, expected)
        hashes = self.pairing.hashes(found, expected)
        if (
            hashes[0].skeleton == hashes[1].skeleton
            and not elsewhere
            and left is not None
            and right is not None
        ):
            return self._same(task, left, right)
        return self._rewired(task) if elsewhere and not self._gone(task) else self._explained(task)

    def _gone(self, task: _Task) -> bool:
        """Whether the tensor, right as it is, stands there because what follows on it is missing."""
        nearest = self._best(
            (each, self.pairing.alike(task.found, each.name)) for each in above(self.fresh, task.expected)
        )
        return nearest[1] >= 0.9

    def _explained(self, task: _Task) -> Finding | None:
        """Missing nodes, extra nodes, others, or the same: whichever is the likeliest."""
        found, expected = task.found, task.expected
        left, right = self.file.producers.get(found), self.fresh.producers.get(expected)
        pairing = self.pairing
        missing, likely_missing = self._best(
            (
                each,
                pairing.alike(found, each.name)
                - _belonging(each, self.fresh, pairing.fresh_hashes, pairing.file_hashes),
            )
            for each in above(self.fresh, expected)
        )
        likely_same = likely_other = 0.0
        if left is not None and right is not None:
            if same_operator(left, right):
                likely_same = self.pairing.alike(found, expected) + _SAME
                # In a network of many like blocks the next is much like this one; what both share decides.
                if self.pairing.anchored(found, expected):
                    likely_same = max(likely_same, _ANCHORED)
            else:
                likely_other = self._nodes.replaceable(left, right)
        extra, likely_extra = self._best(
            (
                each,
                pairing.alike(each.name, expected)
                - _belonging(each, self.file, pairing.file_hashes, pairing.fresh_hashes),
            )
            for each in above(self.file, found)
        )
        best = max(likely_same, likely_missing, likely_extra, likely_other)
        if best < _PAIR:
            self.lost += 1
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
        one, other = self.pairing.hashes(found, expected)
        file, fresh = self.pairing.file_hashes.counts, self.pairing.fresh_hashes.counts
        return file[one.exact] <= fresh[one.exact] and file[other.exact] > 0

    def _rewired(self, task: _Task) -> Finding:
        right = self.fresh.producers.get(task.expected)
        name = self.pairing.file_hashes.names[self.pairing.fresh_hashes.of[task.expected].exact]
        self.mapped.setdefault(task.expected, name)
        return self._edges(
            task, self._taker(task), right, f"takes {task.found!r} in the file, {name!r} in a fresh export"
        )

    def _same(self, task: _Task, left: NodeProto, right: NodeProto) -> Finding | None:
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

    def _missing(self, task: _Task, missing: Ancestor) -> Finding:
        nodes = missing.way[::-1]
        taker = self._taker(task)
        message = missing_message(nodes, self.file.producers.get(task.found), taker)
        self.push(None, task.found, missing.name, None)
        named = taker or self.file.producers.get(task.found)
        finding = self._edges(task, named, nodes[0], message)
        if all(narrowing(node) for node in nodes):
            finding.kind = "precision"
        return finding

    def _extra(self, task: _Task, extra: Ancestor) -> Finding:
        nodes = extra.way[::-1]
        self.push(None, extra.name, task.expected, None)
        named = ", ".join(node.op_type for node in nodes)
        message = f"{named} on {extra.name!r}: a fresh export has none there"
        finding = self._edges(task, nodes[0], self.fresh.producers.get(task.expected), message)
        if any(narrowing(node) for node in nodes):
            finding.kind = "precision"
        return finding

    def _taker(self, task: _Task) -> NodeProto | None:
        """The node of the file that takes the tensor of a pair; None for an output of the graph."""
        if task.edge is None or task.edge.slot < 0:
            return None
        return self.file.taker(self.file.producers[task.edge.node], task.edge.slot)

    def _edges(self, task: _Task, node: NodeProto | None, right: NodeProto | None, message: str) -> Finding:
        """A finding that is put right by giving the edges another tensor."""
        edges = [task.edge] if task.edge is not None else []
        finding = Finding(
            "structure",
            node or self.file.producers.get(task.found),
            message,
            output=task.found,
            counterpart=right,
            fixes=[Redirect(task.expected, edges)],
            edges=edges,
        )
        self.findings["edge", task.found, task.expected] = finding
        return finding


def _belonging(skipped: Ancestor, view: View, here: Hashes, there: Hashes) -> float:
    """What speaks against nodes being extra or missing: that the other graph has weights of theirs."""
    constants = (
        here.of[name].exact
        for node in skipped.way
        for name in node.input
        if name and (value := view.constant(name)) is not None and value.size > 1
    )
    return 0.0 if there.known.isdisjoint(constants) else _BELONGING


def _same_fix(one: Fix, other: SetConstant | Redirect) -> TypeGuard[SetConstant | Redirect]:
    """Whether two fixes give the same, so that one can have the edges of both."""
    if isinstance(one, SetConstant) and isinstance(other, SetConstant):
        return one.tensor == other.tensor and same(one.value, other.value)
    return isinstance(one, Redirect) and isinstance(other, Redirect) and one.expected == other.expected
