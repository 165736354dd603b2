"""Puts a file right from the fresh export, one finding at a time; all other tensors keep their names."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import onnx
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper

from parity.artifacts import Array
from parity.diagnosis.graphs.editing import Unmendable, outside, rename_inside, sort
from parity.diagnosis.graphs.findings import Edge, Finding, Redirect, SetAttributes, SetConstant, SetOperator
from parity.diagnosis.graphs.view import bodies, key, taken
from parity.diagnosis.onnx64.program import own_name

if TYPE_CHECKING:
    from parity.diagnosis.graphs.walking import Walk


class Mender:
    """A copy of the file that is edited.

    Args:
        model: the file that was compared, or a copy of it that was mended already.
        walk: the comparison.
    """

    def __init__(self, model: ModelProto, walk: Walk) -> None:
        self._walk, self._fresh = walk, walk.fresh
        self.model = ModelProto()
        self.model.CopyFrom(model)
        self._nodes = list(self.model.graph.node)
        self._by_key = {key(node): node for node in self._nodes}
        self._initializers = {tensor.name: tensor for tensor in self.model.graph.initializer}
        self._aliases: dict[str, str] = {}  # outputs of the graph that were moved to another name
        self._grafted: dict[str, str] = {}
        self._names = {*self._initializers, *(each.name for each in self.model.graph.input)}
        for node in self._nodes:
            self._names.update((node.name, *node.output, *taken(node)))

    def apply(self, findings: Iterable[Finding]) -> None:
        """Edits the copy."""
        for finding in findings:
            for fix in finding.fixes:
                match fix:
                    case SetAttributes():
                        self._set_attributes(fix)
                    case SetConstant():
                        self._set_constant(fix)
                    case SetOperator():
                        self._set_operator(fix)
                    case Redirect():
                        self._redirect(fix)

    def finish(self) -> ModelProto:
        """The copy, its nodes in topological order.

        Raises:
            Unmendable: the edits make a cycle, or something that is no valid model.
        """
        graph = self.model.graph
        nodes = [NodeProto.FromString(node.SerializeToString()) for node in sort(self._nodes)]
        del graph.node[:]
        graph.node.extend(nodes)
        del graph.value_info[:]  # declared for the wrong values, shapes may be others now
        self.model.ir_version = max(self.model.ir_version, 4)  # before, every initializer was an input
        return self.model

    def _node(self, name: str) -> NodeProto:
        node: NodeProto | None = self._by_key.get(name)
        if node is None:
            raise Unmendable(f"the node that gives {name!r} is not there")
        return node

    # --- nodes and constants

    def _set_attributes(self, fix: SetAttributes) -> None:
        node = self._node(fix.node)
        for name, value in fix.values.items():
            kept = [each for each in node.attribute if each.name != name]
            del node.attribute[:]
            node.attribute.extend(kept)
            if value is not None:
                node.attribute.append(value)
                self._adapt_bodies(node)

    def _set_operator(self, fix: SetOperator) -> None:
        node = self._node(fix.node)
        node.op_type, node.domain = fix.like.op_type, fix.like.domain
        del node.attribute[:]
        node.attribute.extend(fix.like.attribute)
        self._import(node)
        self._adapt_bodies(node)

    def _set_constant(self, fix: SetConstant) -> None:
        takers = {
            (key(node), slot)
            for node in self._nodes
            for slot, name in enumerate(node.input)
            if name == fix.tensor
        }
        inner = any(
            fix.tensor in taken(each) for node in self._nodes for body in bodies(node) for each in body.node
        )
        covered = takers <= {(edge.node, edge.slot) for edge in fix.edges} and not inner
        outputs = {each.name for each in self.model.graph.output}
        node = self._by_key.get(fix.tensor)
        tensor = _tensor(fix.value, fix.tensor)
        if covered and fix.tensor in self._initializers:
            self._initializers[fix.tensor].CopyFrom(tensor)
        elif covered and node is not None and node.op_type == "Constant" and fix.tensor not in outputs:
            del node.attribute[:]
            node.attribute.append(onnx.helper.make_attribute("value", tensor))
        else:
            name = self._add_constant(fix.tensor, fix.value)
            for edge in fix.edges:
                self._connect(edge, name)

    def _add_constant(self, stem: str, value: Array) -> str:
        name = self._unused(stem)
        tensor = self.model.graph.initializer.add()
        tensor.CopyFrom(_tensor(value, name))
        self._initializers[name] = tensor
        return name

    # --- edges

    def _redirect(self, fix: Redirect) -> None:
        name = self._graft(fix.expected) if fix.expected else ""
        for edge in fix.edges:
            self._connect(edge, name)

    def _connect(self, edge: Edge, name: str) -> None:
        if edge.slot < 0:
            self._connect_output(edge.node, name)
            return
        inputs = self._node(edge.node).input
        while len(inputs) <= edge.slot:
            inputs.append("")
        inputs[edge.slot] = name
        while inputs and not inputs[-1]:
            del inputs[-1]

    def _connect_output(self, output: str, name: str) -> None:
        """The graph's output keeps its name: what gave it goes on under another."""
        moved = self._aliases.get(output)
        if moved is None:
            moved = self._aliases[output] = self._unused(output)
            self._rename(output, moved)
        else:
            self._nodes = [node for node in self._nodes if output not in node.output]
        source = self._aliases.get(name, name)
        node = onnx.helper.make_node("Identity", [source], [output], name=self._unused(f"{output}_mended"))
        self._nodes.append(node)

    def _rename(self, name: str, to: str) -> None:
        for node in self._nodes:
            for names in (node.input, node.output):
                for place, each in enumerate(names):
                    if each == name:
                        names[place] = to
            for body in bodies(node):
                rename_inside(body, {name: to})

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
            return self._aliases.get(walk.mapped[expected], walk.mapped[expected])
        if expected in self._fresh.inputs:
            if expected not in walk.pairing.inputs:
                raise Unmendable(f"the file has no input {expected!r}")
            return walk.pairing.inputs[expected]
        hashes = walk.pairing.fresh_hashes.of.get(expected)
        name = walk.pairing.file_hashes.names.get(hashes.exact) if hashes is not None else None
        if name is not None:
            return self._aliases.get(name, name)
        value = self._fresh.constant(expected)
        if value is None or not self._fresh.exact(expected):
            return None
        self._grafted[expected] = self._add_constant(expected, value)
        return self._grafted[expected]

    def _clone(self, node: NodeProto) -> None:
        copy = NodeProto()
        copy.CopyFrom(node)
        copy.name = self._unused(node.name or key(node))
        copy.input[:] = [self._given(name) for name in node.input]
        copy.output[:] = [self._unused(name) if name else "" for name in node.output]
        self._grafted.update((name, new) for name, new in zip(node.output, copy.output, strict=True) if name)
        self._import(node)
        self._adapt_bodies(copy)
        self._nodes.append(copy)
        self._by_key[key(copy)] = copy

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

    def _import(self, node: NodeProto) -> None:
        """The operator set and the function that an operator of the fresh export needs."""
        domain = own_name(node.domain)
        if domain not in {own_name(each.domain) for each in self.model.opset_import}:
            self.model.opset_import.add(domain=domain, version=self._fresh.opsets.get(domain, 1))
        function = self._fresh.functions.get((domain, node.op_type))
        if function is not None:
            kept = [
                each
                for each in self.model.functions
                if (own_name(each.domain), each.name) != (domain, node.op_type)
            ]
            del self.model.functions[:]
            self.model.functions.extend([*kept, function])

    # --- names

    def _unused(self, stem: str) -> str:
        name, count = stem, 0
        while name in self._names:
            count += 1
            name = f"{stem}_mended_{count}"
        self._names.add(name)
        return name


def _tensor(value: Array, name: str) -> TensorProto:
    return numpy_helper.from_array(value, name)
