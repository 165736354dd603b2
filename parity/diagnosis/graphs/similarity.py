"""How likely a tensor of the file is meant to be one of the fresh export, from what stands above both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from onnx import NodeProto

from parity.diagnosis.graphs.constants import nearness
from parity.diagnosis.graphs.hashing import COMMUTATIVE, Hash, Hasher
from parity.diagnosis.graphs.view import View
from parity.diagnosis.onnx64.program import own_name

_DEPTH = 5  # operators above both that are looked at
_UNKNOWN = 0.6  # same operator, as deep as one looks
_SKELETON = 0.75  # at least, where all the operators above are the same


@dataclass(frozen=True)
class Ancestor:
    """A tensor above another, and the nodes in between from the lower one up."""

    name: str
    way: tuple[NodeProto, ...]


class Pairing:
    """Both graphs with their hashes, and how alike their tensors are."""

    def __init__(self, file: View, fresh: View) -> None:
        self.file, self.fresh = file, fresh
        self.hasher = Hasher()
        # A graph's interface keeps its names, if it is the same at all; otherwise its order.
        names = dict(zip(file.inputs, fresh.inputs, strict=False))
        if set(file.inputs) == set(fresh.inputs):
            names = {name: name for name in file.inputs}
        self.fresh_hashes = self.hasher.hash(fresh, {name: name for name in fresh.inputs})
        self.file_hashes = self.hasher.hash(
            file, {name: names.get(name, f"{name} (file)") for name in file.inputs}
        )
        self.inputs: dict[str, str] = {other: name for name, other in names.items()}
        self._known: dict[tuple[str, str, int], float] = {}

    def hashes(self, found: str, expected: str) -> tuple[Hash, Hash]:
        return self.file_hashes.of[found], self.fresh_hashes.of[expected]

    def equal(self, found: str, expected: str) -> bool:
        """Whether both are computed alike; "" is an input that is left out."""
        if not found or not expected:
            return found == expected
        one, other = self.hashes(found, expected)
        return one.exact == other.exact

    def alike(self, found: str, expected: str, depth: int = _DEPTH) -> float:
        """0 for tensors of different operators, 1 for those that are computed alike."""
        if not found or not expected:
            return float(found == expected)
        at = (found, expected, depth)
        if at not in self._known:
            self._known[at] = self._alike(found, expected, depth)
        return self._known[at]

    def _alike(self, found: str, expected: str, depth: int) -> float:
        if self.equal(found, expected):
            return 1.0
        one, other = self.file.constant(found), self.fresh.constant(expected)
        if one is not None or other is not None:
            return nearness(one, other) if one is not None and other is not None else 0.0
        left, right = self.file.producers.get(found), self.fresh.producers.get(expected)
        if left is None or right is None or not same_operator(left, right):
            return 0.0
        if list(left.output).index(found) != list(right.output).index(expected):
            return 0.2
        if depth == 0:
            above = _UNKNOWN
        else:
            given, wanted = self.file.parents(left), self.fresh.parents(right)
            pairs = self.paired(left, given, wanted, depth - 1)
            total = sum(self.alike(a, b, depth - 1) for a, b in pairs)
            above = 0.3 + 0.7 * total / max(len(given), len(wanted), 1)
        hashes = self.hashes(found, expected)
        return max(above, _SKELETON) if hashes[0].skeleton == hashes[1].skeleton else above

    def paired(
        self, node: NodeProto, given: Sequence[str], wanted: Sequence[str], depth: int = _DEPTH
    ) -> list[tuple[str, str]]:
        """The inputs of two nodes of one operator, pair by pair in the order of the fresh node."""
        pairs = list(zip(given, wanted, strict=False))
        if own_name(node.domain) != "" or node.op_type not in COMMUTATIVE or len(given) != len(wanted):
            return pairs
        return [(given[place], wanted[i]) for i, place in enumerate(self.order(given, wanted, depth))]

    def order(
        self, given: Sequence[str], wanted: Sequence[str], depth: int = _DEPTH, margin: float = 0.0
    ) -> list[int]:
        """Which of the given stands for each of the wanted; swapped only where that is better by a margin."""
        places = list(range(len(given)))
        odd = [i for i in places if not self.equal(given[i], wanted[i])]
        for i in odd:
            for j in odd:
                if j <= i:
                    continue
                one, other = places[i], places[j]
                if self._laid_out((given[one], given[other]), (wanted[i], wanted[j])):
                    continue
                crossed = self.alike(given[other], wanted[i], depth) + self.alike(
                    given[one], wanted[j], depth
                )
                straight = self.alike(given[one], wanted[i], depth) + self.alike(
                    given[other], wanted[j], depth
                )
                constants = (
                    self.file.constant(given[one]) is not None,
                    self.file.constant(given[other]) is not None,
                )
                # Small integers, such as the ends of slices, meet by chance: both must be right when swapped.
                if crossed == 2 or (crossed > straight + margin and not all(constants)):
                    places[i], places[j] = other, one
        return places

    def _laid_out(self, given: tuple[str, str], wanted: tuple[str, str]) -> bool:
        """Whether the operators above two inputs say that they are not swapped: a quick look first."""
        if not all(given) or not all(wanted):
            return False
        one, other = (self.file_hashes.of[name].skeleton for name in given)
        first, second = (self.fresh_hashes.of[name].skeleton for name in wanted)
        return one == first and other == second and one != other

    def anchored(self, found: str, expected: str) -> bool:
        """Whether two tensors of one operator share an input: it is computed alike in both."""
        left, right = self.file.producers[found], self.fresh.producers[expected]
        pairs = self.paired(left, self.file.parents(left), self.fresh.parents(right))
        return any(a and self.file.constant(a) is None and self.equal(a, b) for a, b in pairs)

    @cached_property
    def fresh_names(self) -> set[str]:
        """All names in the fresh graph."""
        return {*self.fresh.inputs, *self.fresh.initializers, *self.fresh.producers}


def same_operator(one: NodeProto, other: NodeProto) -> bool:
    """Whether two nodes have the same operator, whatever its attributes."""
    return one.op_type == other.op_type and own_name(one.domain) == own_name(other.domain)


def above(view: View, name: str, limit: int = 40, depth: int = 6) -> list[Ancestor]:
    """Computed tensors above one, nearest first."""
    found: list[Ancestor] = []
    seen = {name}
    layer = [Ancestor(name, ())]
    for _ in range(depth):
        following: list[Ancestor] = []
        for each in layer:
            node = view.producers.get(each.name)
            for parent in view.parents(node) if node is not None else ():
                if parent and parent not in seen and view.constant(parent) is None and node is not None:
                    seen.add(parent)
                    following.append(Ancestor(parent, (*each.way, node)))
        found.extend(following)
        if len(found) > limit:
            break
        layer = following
    return found
