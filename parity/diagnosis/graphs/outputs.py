"""The outputs of two graphs: which belong together, and which have each other's place."""

from __future__ import annotations

from collections.abc import Mapping

from parity.diagnosis.graphs.findings import Edge, Finding, Redirect
from parity.diagnosis.graphs.similarity import Pairing
from parity.diagnosis.graphs.view import View, key


def output_pairs(pairing: Pairing) -> list[tuple[str, str]]:
    """Pairs of outputs: by name, or in order where the names are not the same."""
    file, fresh = pairing.file.outputs, pairing.fresh.outputs
    if set(file) == set(fresh):
        return [(name, name) for name in file]
    return list(zip(file, fresh, strict=False))


def moved_outputs(pairing: Pairing, pairs: list[tuple[str, str]]) -> dict[str, tuple[str, str]]:
    """Outputs of the file that are right, but each in the place of another.

    Returns:
        For each the output of the fresh export that it should be, and the output of the file that is that.
    """
    names: dict[int, list[str]] = {}
    for found, _ in pairs:
        names.setdefault(pairing.file_hashes.of[found].exact, []).append(found)
    wanted = {
        found: (expected, names.get(pairing.fresh_hashes.of[expected].exact, []))
        for found, expected in pairs
        if not pairing.equal(found, expected)
    }
    moved = {
        found: (expected, others[0])
        for found, (expected, others) in wanted.items()
        if others and others[0] in wanted
    }
    return moved if set(moved) == {other for _, other in moved.values()} else {}


def moved_finding(file: View, moved: Mapping[str, tuple[str, str]]) -> Finding:
    """The change that they all are together; named is the first node that gives one of them."""
    nodes = [file.producers[name] for name in moved if name in file.producers]
    listed = ", ".join(repr(name) for name in sorted(moved))
    return Finding(
        "structure",
        min(nodes, key=lambda node: file.position[key(node)], default=None),
        f"the outputs {listed} are in each other's place in a fresh export",
        output=next(iter(moved)),
        fixes=[Redirect(expected, [Edge(name, -1)]) for name, (expected, _) in moved.items()],
    )
