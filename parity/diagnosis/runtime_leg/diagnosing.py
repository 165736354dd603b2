"""Why the runtime is less exact than the file says, for every output of one call."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from onnx import ModelProto, NodeProto

from parity.artifacts import Array
from parity.diagnosis.budget import difference
from parity.diagnosis.onnx64 import Graph64
from parity.diagnosis.onnx64.constants import graphs, load
from parity.diagnosis.runtime_leg import causes, effects
from parity.diagnosis.runtime_leg.backend import Backend
from parity.diagnosis.runtime_leg.grouping import Group, grouped
from parity.diagnosis.runtime_leg.node_pass import NodePass, OffNode, choose
from parity.diagnosis.runtime_leg.optimizers import OptimizerFault, Trials, error_of, find_optimizer
from parity.diagnosis.runtime_leg.replacement import Replacement, find_replacement
from parity.diagnosis.statistics import statistics
from parity.records.diagnosis import Cause, Divergence
from parity.records.outcomes import RuntimeFinding
from parity.worker.problems import Unable

_RANDOM = frozenset(
    {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli"}
)
_LISTED = 5  # names in a note
_EXPLAINS = 0.1  # share of an output's error below which a node is no cause of it
_AS_LARGE = 0.5  # of the size of an error: what chance leaves of the same size
_ROUNDING = 64.0  # times the error of a run in which every result is rounded: what rounding may come to


def diagnose_runtime(
    path: str, feeds: Mapping[str, Array], found: Mapping[str, Array], backend: Backend
) -> dict[str, RuntimeFinding]:
    """The causes of the difference between a file in float64 and what the runtime made of it.

    Args:
        path: the ONNX file.
        feeds: the inputs of the call, by the names of the file.
        found: outputs that the production run gave for them, by name.
        backend: the runtime with the settings of that run.

    Raises:
        Unable: the file can't be read, or not with these inputs.
    """
    model, _ = load(path)
    random, chosen = tuple(random_nodes(model)), choose(model)
    del model  # with all its weights
    graph = Graph64(path, backend.device)
    nodes = NodePass(graph, backend, chosen)
    evaluation = graph.run(feeds, nodes)
    exact = {
        name: value
        for name in found
        if isinstance(value := evaluation.outputs.get(name), np.ndarray) and value.shape == found[name].shape
    }
    elsewhere, notes = _elsewhere(backend, path)
    trials = Trials(backend, path, feeds, exact)
    call = _Call(graph, nodes, backend, path, feeds, found, trials, elsewhere, (*nodes.notes(), *notes))
    findings = {}
    for name in found:
        if name in exact:
            findings[name] = call.finding(name)
        else:
            reason = evaluation.unknown.get(
                name, f"the graph has no tensor {name!r} of this shape in float64"
            )
            findings[name] = RuntimeFinding(causes=causes.of_random(random), notes=(reason, *call.notes))
    return findings


def random_nodes(model: ModelProto) -> Iterator[NodeProto]:
    """Nodes that draw random numbers; a dropout does while it is told to train."""
    told = {tensor.name: tensor for graph in graphs(model.graph) for tensor in graph.initializer}
    for graph in graphs(model.graph):
        constants = (node for node in graph.node if node.op_type == "Constant")
        told |= {node.output[0]: a.t for node in constants for a in node.attribute if a.HasField("t")}
    for graph in graphs(model.graph):
        for node in graph.node:
            if node.op_type in _RANDOM:
                yield node
            elif node.op_type == "Dropout" and len(node.input) > 2 and node.input[2] in told:
                raw = told[node.input[2]]
                if any(raw.raw_data) or any(raw.int32_data):
                    yield node


@dataclass(frozen=True)
class _Call:
    """One call after the pass over its nodes."""

    graph: Graph64
    nodes: NodePass
    backend: Backend
    path: str
    feeds: Mapping[str, Array]
    found: Mapping[str, Array]
    trials: Trials
    elsewhere: Mapping[str, str]  # nodes that another provider runs
    notes: tuple[str, ...]
    replayed: dict[str, effects.Outputs] = field(default_factory=dict)

    def finding(self, output: str) -> RuntimeFinding:
        """Of one output that has a value in float64."""
        notes = list(self.notes)
        error = error_of(self.found[output], self.trials.exact(output))
        if not error > 0.0:
            return RuntimeFinding(notes=tuple(notes))
        fault = self._optimizer(output, notes)
        if fault is not None:
            replacement = self._replacement(fault, output, notes)
            cause = causes.of_optimizer(fault, replacement, self.backend.optimization)
            return _finding(_at(replacement), (cause,), notes)
        off = self.nodes.reaching(output)
        if math.isinf(error) and (broken := [one for one in off if one.overflow]):
            return _finding(broken[0].divergence, (causes.of_overflow(broken[0]),), notes)
        first, named = self._local(output, [one for one in off if not one.overflow], notes)
        if named:
            return _finding(first, named, notes)
        return _finding(None, (self._rounding(output, error, some_off=bool(off)),), notes)

    def _optimizer(self, output: str, notes: list[str]) -> OptimizerFault | None:
        try:
            return find_optimizer(self.trials, output, self.found[output])
        except Unable as error:
            notes.append(f"graph optimizers were not tried one by one: {error.problem}")
            return None

    def _replacement(self, fault: OptimizerFault, output: str, notes: list[str]) -> Replacement | None:
        try:
            return find_replacement(self.backend, self.path, self.feeds, fault.mended, output)
        except Unable as error:
            notes.append(f"the optimized graph can't be looked into: {error.problem}")
            return None

    def _local(
        self, output: str, off: list[OffNode], notes: list[str]
    ) -> tuple[Divergence | None, tuple[Cause, ...]]:
        """Nodes that are off by themselves, as far as they explain the output's error."""
        named: list[Cause] = []
        blamed: list[OffNode] = []
        for group in grouped(off):
            share = self._share(output, group)
            if share >= _EXPLAINS:
                provider = self.elsewhere.get(group.nodes[0].divergence.node, "")
                named.append(causes.of_nodes(group, share, self.backend.device, provider))
                blamed.extend(group.nodes)
            else:
                label = group.nodes[0].divergence.node
                notes.append(f"{label!r} is off by itself, which explains {share:.0%} of the error")
        first = min(blamed, key=off.index).divergence if blamed else None
        return first, tuple(sorted(named, key=lambda cause: -(cause.share or 0.0)))

    def _share(self, output: str, group: Group) -> float:
        """Of the output's error, what the local errors of the group explain.

        Reproduced element by element at the output; or at the nodes, where this makes an error of its size at
        the output. In a deep network it can't be reproduced there: what float32 rounds differently on the way
        decides which way the next node rounds an operand.
        """
        key = "/".join(one.divergence.node for one in group.nodes)
        if key not in self.replayed:
            self.replayed[key] = effects.with_local_errors(self.graph, self.backend, self.feeds, group)
        made = effects.effect(self.found[output], self.trials.exact(output), self.replayed[key][output])
        if group.kind == "nondeterminism":
            return min(1.0, made.size)  # another run makes another error, of the same size
        at_nodes = group.reproduced * (1.0 if made.size >= _AS_LARGE else made.size)
        return max(made.share, at_nodes)

    def _rounding(self, output: str, error: float, *, some_off: bool) -> Cause:
        exact = self.trials.exact(output)
        if "" not in self.replayed:
            self.replayed[""] = effects.with_rounded_results(self.graph, self.feeds)
        noise = error_of(self.replayed[""][output], exact)
        usual = max(_ROUNDING * noise, self.trials.resolution(output, self.found[output].dtype))
        bits = self.nodes.least_bits
        return causes.of_rounding(error, noise, bits, is_usual=error <= usual, some_off=some_off)


def _elsewhere(backend: Backend, path: str) -> tuple[Mapping[str, str], tuple[str, ...]]:
    """Nodes that fell back to another provider than the device's, by name; and what there is to say."""
    try:
        found = backend.on_other_providers(path)
    except Unable as error:
        return {}, (f"which provider runs which node is not known: {error.problem}",)
    if not found:
        return found, ()
    names = ", ".join(list(found)[:_LISTED]) + (" ..." if len(found) > _LISTED else "")
    return found, (f"{len(found)} nodes run on {', '.join(sorted(set(found.values())))} instead: {names}",)


def _finding(first: Divergence | None, named: tuple[Cause, ...], notes: list[str]) -> RuntimeFinding:
    return RuntimeFinding(first_divergence=first, causes=named, notes=tuple(notes))


def _at(replacement: Replacement | None) -> Divergence | None:
    if replacement is None:
        return None
    node = replacement.node
    return Divergence(
        leg="runtime",
        node=node.name or node.output[0],
        op_type=node.op_type,
        output=replacement.tensor,
        shape=replacement.expected.shape,
        local_error=difference(replacement.found, replacement.expected).known,
        expected=statistics(replacement.expected),
        found=statistics(replacement.found),
    )
