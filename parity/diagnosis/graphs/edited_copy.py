"""A copy of an ONNX file whose nodes, constants and edges are edited; all other tensors keep their names."""

from __future__ import annotations

import onnx
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper

from parity.artifacts import Array
from parity.diagnosis.graphs.editing import Unmendable, rename_inside, sort
from parity.diagnosis.graphs.findings import Edge, SetConstant
from parity.diagnosis.graphs.view import View, bodies, key, taken
from parity.diagnosis.onnx64.program import own_name


class EditedCopy:
    """A copy of the file, and the edits that need nothing but the file.

    Args:
        model: the file that was compared, or a copy of it that was mended already.
    """

    def __init__(self, model: ModelProto) -> None:
        self.model = ModelProto()
        self.model.CopyFrom(model)
        self._nodes = list(self.model.graph.node)
        self._by_key = {key(node): node for node in self._nodes}
        self._initializers = {tensor.name: tensor for tensor in self.model.graph.initializer}
        self._aliases: dict[str, str] = {}  # outputs of the graph that were moved to another name
        self._names = {*self._initializers, *(each.name for each in self.model.graph.input)}
        for node in self._nodes:
            self._names.update((node.name, *node.output, *taken(node)))

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

    def node(self, name: str) -> NodeProto:
        """The node whose first output has this name.

        Raises:
            Unmendable: there is none.
        """
        node: NodeProto | None = self._by_key.get(name)
        if node is None:
            raise Unmendable(f"the node that gives {name!r} is not there")
        return node

    def add(self, node: NodeProto) -> None:
        """Another node; `finish` finds its place."""
        self._nodes.append(node)
        self._by_key[key(node)] = node

    def alias(self, name: str) -> str:
        """What the file's tensor of this name is called now."""
        return self._aliases.get(name, name)

    def set_constant(self, fix: SetConstant) -> None:
        """Gives the edges the value: in place where no one else takes the constant."""
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
            name = self.add_constant(fix.tensor, fix.value)
            for edge in fix.edges:
                self.connect(edge, name)

    def add_constant(self, stem: str, value: Array) -> str:
        """Another initializer; returns its name."""
        name = self.unused(stem)
        tensor = self.model.graph.initializer.add()
        tensor.CopyFrom(_tensor(value, name))
        self._initializers[name] = tensor
        return name

    def connect(self, edge: Edge, name: str) -> None:
        """Gives an edge another tensor; "" for none."""
        if edge.slot < 0:
            self._connect_output(edge.node, name)
            return
        inputs = self.node(edge.node).input
        while len(inputs) <= edge.slot:
            inputs.append("")
        inputs[edge.slot] = name
        while inputs and not inputs[-1]:
            del inputs[-1]

    def _connect_output(self, output: str, name: str) -> None:
        """The graph's output keeps its name: what gave it goes on under another."""
        moved = self._aliases.get(output)
        if moved is None:
            moved = self._aliases[output] = self.unused(output)
            self._rename(output, moved)
        else:
            self._nodes = [node for node in self._nodes if output not in node.output]
        source = self.alias(name)
        node = onnx.helper.make_node("Identity", [source], [output], name=self.unused(f"{output}_mended"))
        self._nodes.append(node)

    def _rename(self, name: str, to: str) -> None:
        for node in self._nodes:
            for names in (node.input, node.output):
                for place, each in enumerate(names):
                    if each == name:
                        names[place] = to
            for body in bodies(node):
                rename_inside(body, {name: to})

    def import_from(self, fresh: View, node: NodeProto) -> None:
        """The operator set and the function that an operator of the fresh export needs."""
        domain = own_name(node.domain)
        if domain not in {own_name(each.domain) for each in self.model.opset_import}:
            self.model.opset_import.add(domain=domain, version=fresh.opsets.get(domain, 1))
        function = fresh.functions.get((domain, node.op_type))
        if function is not None:
            kept = [
                each
                for each in self.model.functions
                if (own_name(each.domain), each.name) != (domain, node.op_type)
            ]
            del self.model.functions[:]
            self.model.functions.extend([*kept, function])

    def unused(self, stem: str) -> str:
        """A name that is free; it counts as taken from here on."""
        name, count = stem, 0
        while name in self._names:
            count += 1
            name = f"{stem}_mended_{count}"
        self._names.add(name)
        return name


def _tensor(value: Array, name: str) -> TensorProto:
    return numpy_helper.from_array(value, name)
