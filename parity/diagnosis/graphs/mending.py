"""Puts a file right from the fresh export, one finding at a time; all other tensors keep their names."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from onnx import ModelProto, NodeProto

from parity.diagnosis.graphs.edited_copy import EditedCopy
from parity.diagnosis.graphs.editing import Unmendable, outside, rename_inside
from parity.diagnosis.graphs.findings import Finding, Redirect, SetAttributes, SetConstant, SetOperator
from parity.diagnosis.graphs.view import bodies, key, taken

if TYPE_CHECKING:
    from parity.diagnosis.graphs.walking import Walk


class Mender:
    """Takes findings back in a copy of the file.

    Args:
        model: the file that was compared, or a copy of it that was mended already.
        walk: the comparison.
    """

    def __init__(self, model: ModelProto, walk: Walk) -> None:
        self._walk, self._fresh = walk, walk.fresh
        self._copy = EditedCopy(model)
        self._grafted: dict[str, str] = {}  # names in the copy of what was taken over from the fresh export

    def apply(self, findings: Iterable[Finding]) -> None:
        """Edits the copy."""
        for finding in findings:
            for fix in finding.fixes:
                match fix:
                    case SetAttributes():
                        self._set_attributes(fix)
                    case SetConstant():
                        self._copy.set_constant(fix)
                    case SetOperator():
                        self._set_operator(fix)
                    case Redirect():
                        self._redirect(fix)

    def finish(self) -> ModelProto:
        """The copy, its nodes in topological order.

        Raises:
            Unmendable: the edits make a cycle, or something that is no valid model.
        """
        return self._copy.finish()

    def _set_attributes(self, fix: SetAttributes) -> None:
        node = self._copy.node(fix.node)
        for name, value in fix.values.items():
            kept = [each for each in node.attribute if each.name != name]
            del node.attribute[:]
            node.attribute.extend(kept)
            if value is not None:
                node.attribute.append(value)
                self._adapt_bodies(node)

    def _set_operator(self, fix: SetOperator) -> None:
        node = self._copy.node(fix.node)
        node.op_type, node.domain = fix.like.op_type, fix.like.domain
        del node.attribute[:]
        node.attribute.extend(fix.like.attribute)
        self._copy.import_from(self._fresh, node)
        self._adapt_bodies(node)

    def _redirect(self, fix: Redirect) -> None:
        name = self._graft(fix.expected) if fix.expected else ""
        for edge in fix.edges:
            self._copy.connect(edge, name)

    # --- grafts

    def _graft(self, expected: str) -> str:
        """The name of a tensor that is what the fresh one is: the file's, or computed by copies of nodes."""
        expected = self._fresh.resolve(expected)
        if (known := self._known(expected)) is not None:
            return known
        pending, needed = [expected], {}
        while pending:
            name = pending.pop()
            node = self._fresh.producers[name]
            if key(node) in needed:
                continue
            needed[key(node)] = node
            pending.extend(
                resolved
                for each in taken(node)
                if (resolved := self._outer(each)) and self._known(resolved) is None
            )
        for node in sorted(needed.values(), key=lambda node: self._fresh.position[key(node)]):
            self._clone(node)
        return self._grafted[expected]

    def _outer(self, name: str) -> str:
        """A tensor of the fresh main graph, resolved; "" for one of a subgraph."""
        return self._fresh.resolve(name) if name in self._walk.pairing.fresh_names else ""

    def _known(self, expected: str) -> str | None:
        """What stands for a fresh tensor without further nodes; constants are added."""
        if expected in self._grafted:
            return self._grafted[expected]
        walk = self._walk
        if expected in walk.mapped:
            return self._copy.alias(walk.mapped[expected])
        if expected in self._fresh.inputs:
            if expected not in walk.pairing.inputs:
                raise Unmendable(f"the file has no input {expected!r}")
            return walk.pairing.inputs[expected]
        hashes = walk.pairing.fresh_hashes.of.get(expected)
        name = walk.pairing.file_hashes.names.get(hashes.exact) if hashes is not None else None
        if name is not None:
            return self._copy.alias(name)
        value = self._fresh.constant(expected)
        if value is None or not self._fresh.exact(expected):
            return None
        self._grafted[expected] = self._copy.add_constant(expected, value)
        return self._grafted[expected]

    def _clone(self, node: NodeProto) -> None:
        copy = NodeProto()
        copy.CopyFrom(node)
        copy.name = self._copy.unused(node.name or key(node))
        copy.input[:] = [self._given(name) for name in node.input]
        copy.output[:] = [self._copy.unused(name) if name else "" for name in node.output]
        self._grafted.update((name, new) for name, new in zip(node.output, copy.output, strict=True) if name)
        self._copy.import_from(self._fresh, node)
        self._adapt_bodies(copy)
        self._copy.add(copy)

    def _given(self, name: str) -> str:
        if not name:
            return ""
        known = self._known(self._fresh.resolve(name))
        if known is None:
            raise Unmendable(f"{name!r} of the fresh export has no place in the file")
        return known

    def _adapt_bodies(self, node: NodeProto) -> None:
        """Subgraphs of the fresh export take their surroundings by the file's names."""
        for body in bodies(node):
            outer = {name for name in outside(body) if name in self._walk.pairing.fresh_names}
            rename_inside(body, {name: self._graft(name) for name in outer})
