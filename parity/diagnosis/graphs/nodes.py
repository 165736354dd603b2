"""Two nodes side by side: attributes, inputs, and one operator in the place of another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnx import AttributeProto, GraphProto, NodeProto

from parity.diagnosis.graphs.findings import Edge, Finding, Redirect, SetAttributes, SetOperator
from parity.diagnosis.graphs.hashing import COMMUTATIVE, Hash, plain, with_defaults
from parity.diagnosis.graphs.similarity import above
from parity.diagnosis.graphs.view import bodies, key, label, taken
from parity.diagnosis.graphs.wording import Operand, attribute_message, is_weight, slot_name
from parity.diagnosis.onnx64.program import own_name

if TYPE_CHECKING:
    from parity.diagnosis.graphs.walking import Walk

_REPLACED = 0.08  # what it takes from likeness that the operator is another
_REGION = 0.04  # and every node that stands for it
_SWAPPED = 0.25  # how much likelier inputs in another order must be


class NodeComparison:
    """Compares nodes for a walk, and gives it the pairs of their inputs."""

    def __init__(self, walk: Walk) -> None:
        self.walk, self.file, self.fresh = walk, walk.file, walk.fresh
        self._seen: set[tuple[str, str]] = set()

    def compare(self, left: NodeProto, right: NodeProto, operand: Operand | None) -> None:
        """Two nodes of one operator. `operand` says which node takes them, if they are constant."""
        for one, other in zip(left.output, right.output, strict=False):
            if one and other:
                self.walk.mapped.setdefault(other, one)
        if (key(left), key(right)) in self._seen:
            return
        self._seen.add((key(left), key(right)))
        self._attributes(left, right)
        self._inputs(left, right, operand, self._ordered(left, right))

    def _attributes(self, left: NodeProto, right: NodeProto) -> None:
        found = with_defaults(left, self.file.opsets)
        expected = with_defaults(right, self.fresh.opsets)
        off = {name for name in {*found, *expected} if not self._same(name, left, right, found, expected)}
        function = self._functions_differ(left, right)
        if not off and not function:
            return
        structure = function or any(
            found[name].type in (AttributeProto.GRAPH, AttributeProto.GRAPHS) for name in off & found.keys()
        )
        messages = [attribute_message(name, found.get(name), expected.get(name)) for name in sorted(off)]
        if function:
            messages.append(f"the function {left.op_type} has another body in a fresh export")
        own = {each.name: each for each in right.attribute}
        fix = SetAttributes(key(left), {name: own.get(name) for name in off})
        known = self.walk.findings.get(("attribute", key(left)))
        if known is not None:
            known.fixes.append(fix)
            known.more.extend(messages)
            return
        self.walk.findings["attribute", key(left)] = Finding(
            "structure" if structure else "attribute",
            left,
            messages[0],
            counterpart=right,
            fixes=[SetOperator(key(left), right)] if function else [fix],
            more=messages[1:],
        )

    def _same(
        self,
        name: str,
        left: NodeProto,
        right: NodeProto,
        found: dict[str, AttributeProto],
        expected: dict[str, AttributeProto],
    ) -> bool:
        if name not in found or name not in expected:
            return False
        one, other = found[name], expected[name]
        if one.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS):
            return self._body(left, name) == self._body(right, name)
        if one.type != other.type:
            return False
        mine, theirs = plain(one), plain(other)
        if isinstance(mine, bytes):
            return bool(mine == theirs)
        number = self.walk.pairing.hasher.values.number
        return number(mine) == number(theirs)

    def _body(self, node: NodeProto, name: str) -> int:
        """The subgraphs of an attribute, whatever the tensors around the node are."""
        view = self.file if self.file.producers.get(key(node)) is node else self.fresh
        holes = {name: Hash(-2 - place, -2 - place) for place, name in enumerate(captured(node))}
        return dict(self.walk.pairing.hasher.attributes(view, node, holes))[name]

    def _functions_differ(self, left: NodeProto, right: NodeProto) -> bool:
        hasher = self.walk.pairing.hasher
        return hasher.function(self.file, left) != hasher.function(self.fresh, right)

    def _ordered(self, left: NodeProto, right: NodeProto) -> list[int]:
        """For each input of the fresh node the slot in the file's; another order is a finding."""
        given, wanted = self.file.parents(left), self.fresh.parents(right)
        if len(given) != len(wanted) or not all(given) or not all(wanted):
            return list(range(len(left.input)))
        commutative = own_name(left.domain) == "" and left.op_type in COMMUTATIVE
        order = self.walk.pairing.order(given, wanted, margin=0.0 if commutative else _SWAPPED)
        moved = [slot for slot, place in enumerate(order) if place != slot]
        if moved and not commutative:
            listed = ", ".join(map(str, moved))
            self.walk.findings["order", key(left)] = Finding(
                "structure",
                left,
                f"takes its inputs {listed} in another order than a fresh export",
                counterpart=right,
                fixes=[Redirect(wanted[slot], [Edge(key(left), slot)]) for slot in moved],
            )
        return order

    def _inputs(
        self,
        left: NodeProto,
        right: NodeProto,
        operand: Operand | None,
        order: list[int],
        finding: Finding | None = None,
    ) -> None:
        """Pairs the inputs; one that either node has alone is a change, or a part of the one given."""
        for slot in range(max(len(left.input), len(right.input))):
            place = order[slot] if slot < len(order) else slot
            found = left.input[place] if place < len(left.input) else ""
            expected = right.input[slot] if slot < len(right.input) else ""
            edge = Edge(key(left), place)
            if found and expected:
                self.walk.push(edge, found, expected, operand or Operand(left, right, place, slot))
            elif finding is not None and (found or expected):
                finding.fixes.append(Redirect(expected, [edge]))
            elif found or expected:
                self._left_out(left, right, slot, expected)
        for one, other in zip(captured(left), captured(right), strict=False):
            self.walk.push(None, one, other, None)

    def _left_out(self, left: NodeProto, right: NodeProto, slot: int, expected: str) -> None:
        name = slot_name(right if expected else left, slot, self.fresh.opsets)
        if expected:
            message = f"has no {name} in the file, {expected!r} in a fresh export"
        else:
            message = f"has {left.input[slot]!r} as {name} in the file, none in a fresh export"
        self.walk.findings["input", key(left), slot] = Finding(
            "structure" if is_weight(right, slot) or not expected else "attribute",
            left,
            message,
            tensor="" if expected else left.input[slot],
            counterpart=right,
            fixes=[Redirect(expected, [Edge(key(left), slot)])],
        )

    # --- one operator for another

    def replaceable(self, left: NodeProto, right: NodeProto) -> float:
        """How likely some nodes of the file, down to this one, stand for the fresh one."""
        return max(self._alone(left, right), self._region(left, right)[0])

    def _alone(self, left: NodeProto, right: NodeProto) -> float:
        given, wanted = self.file.parents(left), self.fresh.parents(right)
        pairs = [(a, b) for a, b in zip(given, wanted, strict=False) if a and b]
        scores = [self.walk.pairing.alike(a, b) for a, b in pairs if self.fresh.constant(b) is None]
        return sum(scores) / len(scores) - _REPLACED if scores else 0.0

    def _region(
        self, left: NodeProto, right: NodeProto
    ) -> tuple[float, list[tuple[str, str]], list[NodeProto]]:
        """The likeness, for each computed input of the fresh node what stands for it, nodes in between."""
        total = 0.0
        pairs: list[tuple[str, str]] = []
        between: dict[str, NodeProto] = {}
        wanted = [name for name in self.fresh.parents(right) if name and self.fresh.constant(name) is None]
        candidates = above(self.file, next(name for name in left.output if name))
        for name in wanted:
            best = max(
                candidates,
                key=lambda each: self.walk.pairing.alike(each.name, name) - _REGION * len(each.way),
                default=None,
            )
            if best is None:
                return 0.0, [], []
            total += self.walk.pairing.alike(best.name, name) - _REGION * len(best.way)
            pairs.append((best.name, name))
            between.update((key(node), node) for node in best.way)
        return (total / len(wanted) - _REPLACED if wanted else 0.0), pairs, list(between.values())

    def replace(self, edge: Edge | None, found: str, expected: str) -> Finding:
        """Notes that the file has another operator, or several, in the place of the fresh one."""
        left, right = self.file.producers[found], self.fresh.producers[expected]
        self.walk.mapped.setdefault(expected, found)
        region, pairs, nodes = self._region(left, right)
        if self._alone(left, right) >= region or len(nodes) < 2:
            finding = Finding(
                "structure",
                left,
                f"is {left.op_type} in the file, {right.op_type} in a fresh export",
                counterpart=right,
                fixes=[SetOperator(key(left), right)],
            )
            self.walk.findings["operator", key(left), key(right)] = finding
            self._inputs(left, right, None, list(range(len(left.input))), finding)
            return finding
        for one, other in pairs:
            self.walk.push(None, one, other, None)
        kinds = ", ".join(node.op_type for node in nodes[::-1])
        edges = [edge] if edge is not None else []
        del self.walk.mapped[expected]
        finding = Finding(
            "structure",
            left,
            f"{kinds} stand in the file where a fresh export has {right.op_type} ({label(right)})",
            counterpart=right,
            fixes=[Redirect(expected, edges)],
            edges=edges,
        )
        self.walk.findings["edge", found, expected] = finding
        return finding


def captured(node: NodeProto) -> list[str]:
    """Tensors around a control flow node that its bodies take, each once, in order."""
    if not any(True for _ in bodies(node)):
        return []
    inner: set[str] = set()
    for body in bodies(node):
        inner.update(_defined(body))
    given = set(node.input)
    return [name for name in dict.fromkeys(taken(node)) if name not in inner and name not in given]


def _defined(body: GraphProto) -> set[str]:
    names = {each.name for each in body.input} | {each.name for each in body.initializer}
    for node in body.node:
        names.update(node.output)
        for inner in bodies(node):
            names |= _defined(inner)
    return names
