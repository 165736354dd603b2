"""A file compared with a fresh export of the same module: every change, and how to put it right.

comparison = compare(file, fresh)
for change in comparison.changes:
print(change.node, change.message)  # /layer1/bn1: epsilon is 0.002 in the file, 0.001 in a fresh export
mended = change.mend(file)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from onnx import ModelProto

from parity.diagnosis.graphs.editing import Unmendable
from parity.diagnosis.graphs.findings import Finding, Kind
from parity.diagnosis.graphs.mending import Mender
from parity.diagnosis.graphs.similarity import Pairing
from parity.diagnosis.graphs.view import View, key, label
from parity.diagnosis.graphs.walking import Walk

# More changes of structure than this, or than a part of the nodes, are another graph rather than changes;
# what has changed alike in every layer counts once.
# So is one that has nothing for a larger part of the fresh nodes.
_MANY, _PART, _WITHOUT = 5, 0.05, 0.2


@dataclass(frozen=True)
class Change:
    """One difference of a file from a fresh export.

    Args:
        kind: which kind of cause it is.
        node: of the file, by its name, or its first output if it has none.
        op_type: its operator.
        output: the tensor that it gives.
        tensor: the constant that differs, if it is one.
        message: what differs, with both values.
        counterpart: the node of the fresh export.
        outputs: the graph's outputs that it can reach.
    """

    kind: Kind
    node: str
    op_type: str
    output: str
    tensor: str
    message: str
    counterpart: str
    outputs: frozenset[str]
    _finding: Finding = field(repr=False, compare=False)
    _walk: Walk = field(repr=False, compare=False)

    def mend(self, model: ModelProto) -> ModelProto:
        """A copy of the file with this change alone put right from the fresh export.

        Tensors that the file has keep their names; what is added has new ones.

        Args:
            model: the file that was compared.

        Raises:
            Unmendable: it can't be put right without another change.
        """
        return mend_all(model, (self,))


@dataclass(frozen=True)
class Comparison:
    """All changes, in the order of the file's nodes. `messy`: too many to be told one by one."""

    changes: tuple[Change, ...]
    messy: bool


def compare(file: ModelProto, fresh: ModelProto) -> Comparison:
    """Names every change of a file. Both models have all their data in memory.

    Graph inputs and outputs are paired by name, or in order where their names are others.
    """
    pairing = Pairing(View(file), View(fresh))
    walk = Walk(pairing)
    walk.run()
    found = sorted(walk.findings.values(), key=lambda finding: _place(walk, finding))
    changes = tuple(_change(walk, finding) for finding in found)
    structural = len({(each.op_type, each.message) for each in changes if each.kind == "structure"})
    many = max(_MANY, _PART * len(walk.file.nodes))
    return Comparison(changes, messy=structural + walk.lost > many or _without(walk) > _WITHOUT)


def mend_all(model: ModelProto, changes: Sequence[Change]) -> ModelProto:
    """A copy of the file with all these changes put right; see `Change.mend`."""
    if not changes:
        copy = ModelProto()
        copy.CopyFrom(model)
        return copy
    mender = Mender(model, changes[0]._walk)
    mender.apply(change._finding for change in changes)
    return mender.finish()


def _without(walk: Walk) -> float:
    """Which part of the fresh nodes, of some number, the file has nothing for."""
    hashes, counts = walk.pairing.fresh_hashes.of, walk.pairing.file_hashes.counts
    nodes = [node for node in walk.fresh.nodes if walk.fresh.constant(key(node)) is None]
    without = [
        node
        for node in nodes
        if not any(name in walk.mapped or counts[hashes[name].exact] for name in node.output if name)
    ]
    return len(without) / len(nodes) if len(nodes) > _MANY else 0.0


def _place(walk: Walk, finding: Finding) -> int:
    return walk.file.position.get(key(finding.node), -1) if finding.node is not None else -1


def _change(walk: Walk, finding: Finding) -> Change:
    node = finding.node
    outputs = walk.file.reach(node) if node is not None else frozenset(walk.file.outputs)
    return Change(
        kind=finding.kind,
        node=label(node) if node is not None else finding.output or finding.tensor,
        op_type=node.op_type if node is not None else "",
        output=key(node) if node is not None else finding.output or finding.tensor,
        tensor=finding.tensor,
        message="; ".join(dict.fromkeys((finding.message, *finding.more))),
        counterpart=label(finding.counterpart) if finding.counterpart is not None else "",
        outputs=outputs,
        _finding=finding,
        _walk=walk,
    )


__all__ = ["Change", "Comparison", "Unmendable", "compare", "mend_all"]
