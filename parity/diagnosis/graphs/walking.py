"""Walks two graphs backwards from their outputs, side by side, and notes where they part.

A pair of tensors that are computed alike ends the walk there, and so does one of constants. `parting` says
how any other pair came to differ, and puts the pairs before it on the list.
"""

from __future__ import annotations

from typing import TypeGuard

from onnx import NodeProto

from parity.artifacts import Array
from parity.diagnosis.graphs.constants import same
from parity.diagnosis.graphs.findings import Edge, Finding, Fix, Redirect, SetConstant
from parity.diagnosis.graphs.nodes import NodeComparison
from parity.diagnosis.graphs.outputs import moved_finding, moved_outputs, output_pairs
from parity.diagnosis.graphs.parting import Parting, Task
from parity.diagnosis.graphs.similarity import Pairing, same_operator
from parity.diagnosis.graphs.view import key
from parity.diagnosis.graphs.wording import Operand, judge_constant


class Walk:
    """The whole comparison. `findings` are in no order; `mapped` has the file's tensor for a fresh one."""

    def __init__(self, pairing: Pairing) -> None:
        self.pairing = pairing
        self.file, self.fresh = pairing.file, pairing.fresh
        self.findings: dict[object, Finding] = {}
        self.mapped: dict[str, str] = {}
        self.lost = 0  # pairs that could not be told
        self._tasks: list[Task] = []
        self._seen: dict[tuple[str, str], Finding | None] = {}
        self._nodes = NodeComparison(self)
        self._parting = Parting(self, self._nodes)

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
        self._tasks.append(Task(edge, self.file.resolve(found), self.fresh.resolve(expected), operand))

    def _visit(self, task: Task) -> None:
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
        self._seen[found, expected] = self._parting.explain(task)

    def _is_constant(self, task: Task) -> bool:
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

    def _altered(self, task: Task, edge: Edge, one: Array, expected: Array) -> None:
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


def _same_fix(one: Fix, other: SetConstant | Redirect) -> TypeGuard[SetConstant | Redirect]:
    """Whether two fixes give the same, so that one can have the edges of both."""
    if isinstance(one, SetConstant) and isinstance(other, SetConstant):
        return one.tensor == other.tensor and same(one.value, other.value)
    return isinstance(one, Redirect) and isinstance(other, Redirect) and one.expected == other.expected
