"""Why a graph computes something else than its module, from the surest evidence to the least sure.

1. Outputs that are another output of the module.
2. A file that was converted to another precision: the fresh export, converted likewise, is as far off.
3. Initializers that are not the checkpoint's are put right in the file, and count as the cause by the share
   of the error that is gone then. They are most often it, and cost no export.
4. A fresh export of the same module, compared with the file node by node: what has changed is put right and
   measured likewise.
5. Outputs that have the right values in another order.
6. A fresh export that is right where the file is not, or wrong where the file is: the file is another one, or
   the exporter has a defect.
7. The first node whose value PyTorch never had: the place, without a cause.

Of outputs whose error could not be measured, because a side has no float64, the file's changes are named.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from msgspec import structs

from parity.diagnosis.localizing import localize
from parity.diagnosis.matching import Place, match, module_errors, places
from parity.diagnosis.reference_leg.random_nodes import active_nodes, reaching
from parity.diagnosis.tracing import Trace
from parity.records.diagnosis import Cause, Divergence, ModuleErrors

from .converted import by_conversion, without_error
from .evidence import Evidence
from .explaining import EXPLAINS, Explained, Explanation, by_name, by_order, by_units, first_place
from .exporters import Verdict, whose_fault, without_choice
from .finding import ExportFinding, Spot, divergence
from .mending import Mended, Unit, measure
from .subject import Subject

_ALONE = 0.95  # the share of an error from which on nothing else is looked for
_ROUNDING = 10.0  # times the noise floor: up to here what nothing explains is rounding


def diagnose_export(subject: Subject) -> ExportFinding:
    """Where the export error of each output starts, and what causes it.

    Of `subject.errors`, and of `subject.unmeasured` as far as the file tells without being evaluated. A step
    that fails on this model leaves a note, and the next one is tried.
    """
    return _Diagnosis(subject).run()


class _Diagnosis:
    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._of = Evidence(subject)
        self._mended: Mended | None = None

    def run(self) -> ExportFinding:
        """Tries one way after the other, each on the outputs that are left."""
        explained: Explained = {}
        for way in (
            self._renamed,
            self._converted,
            self._altered_alone,
            self._changed,
            self._altered,
            self._reordered,
            self._otherwise,
        ):
            left = [name for name in self._subject.errors if name not in explained]
            if left:
                found = way()
                explained |= {name: found[name] for name in left if name in found}
        if self._subject.unmeasured:
            explained |= self._unmeasured()
        divergences = {
            name: self._divergence(each.place) for name, each in explained.items() if each.place is not None
        }
        return ExportFinding(
            divergences=divergences,
            causes={
                name: tuple(self._settled(cause, divergences.get(name)) for cause in each.causes)
                for name, each in explained.items()
            },
            modules=self._modules() if self._subject.errors else (),
            notes=tuple(dict.fromkeys(self._of.notes)),
        )

    # --- the ways

    def _renamed(self) -> Explained:
        return by_name(self._subject)

    def _converted(self) -> Explained:
        return by_conversion(self._subject, self._of, self._located)

    def _altered_alone(self) -> Explained:
        """Initializers that leave nothing for another cause to explain."""
        return self._altered(_ALONE)

    def _changed(self) -> Explained:
        units = self._of.changes
        if not units:
            return {}
        mended = self._of.tried("putting the changes right", lambda: measure(self._subject, units))
        return self._explained(units, mended, EXPLAINS)

    def _altered(self, least: float = EXPLAINS) -> Explained:
        return self._explained(self._of.wrong, self._of.repaired, least)

    def _explained(self, units: tuple[Unit, ...], mended: Mended | None, least: float) -> Explained:
        if mended is None:
            return {}
        explained = by_units(self._subject, units, mended, least)
        self._mended = self._mended or (mended if explained else None)
        return explained

    def _reordered(self) -> Explained:
        return by_order(self._subject)

    def _otherwise(self) -> Explained:
        """What the fresh export says about it, and by value where it starts."""
        subject = self._subject
        # Folded constants are stored rounded.
        due = [name for name, error in subject.errors.items() if error > _ROUNDING * subject.noise[name]]
        verdict = self._of.tried("evaluating a fresh export", self._verdict) if due else None
        right = verdict.right if verdict else None
        explained = {}
        for name in due:
            place = self._located(name, right)
            cause = verdict.causes.get(name) if verdict else None
            if cause is None and self._of.conversion is not None:
                cause = self._of.conversion.cause(None, "")
            if cause is None and place is not None:
                cause = _unknown(place)
            if cause is not None:
                node = cause.node or (place.node if place else "")
                explained[name] = Explanation(place, (structs.replace(cause, node=node),))
        return explained

    def _verdict(self) -> Verdict | None:
        if self._of.fresh is None:
            return None
        return whose_fault(self._subject, self._of.fresh, self._of.conversion, self._of.export_otherwise)

    def _unmeasured(self) -> Explained:
        """What the file tells without being evaluated: nodes in training mode, its precision, its changes."""
        subject = self._subject
        active = active_nodes(subject.model)
        if active:
            found = {name: reaching(active, subject.graph_trace, name) for name in subject.unmeasured}
            return {
                name: Explanation(
                    Spot(nodes[0].node, nodes[0].op_type, ""), tuple(each.cause for each in nodes)
                )
                for name, nodes in found.items()
                if nodes
            }
        if self._of.conversion is not None:
            return without_error(subject, self._of.conversion)
        explained = {}
        for name in subject.unmeasured:
            units = [unit for unit in self._of.changes if unit.reaches(name)]
            if units:
                place = first_place(subject, units, name, None)
                explained[name] = Explanation(place, tuple(unit.cause for unit in units))
        return explained

    # --- places

    def _located(self, name: str, right: Trace | None) -> Spot | None:
        """The first suspect by value, against a right export, which shows more tensors, or else PyTorch."""
        graph, module = self._subject.graph_trace, right or self._subject.module_trace
        if name not in module.outputs:
            return None
        matches = self._of.matches if right is None else match(graph, right)
        found = localize(graph, module, matches, name)
        if not found.suspects:
            return None
        first = found.suspects[0]
        expected = None if found.counterpart is None else module.tensors[found.counterpart].sketch
        return Spot(first.op.node, first.op.op_type, graph.tensors[first.tensor].name, expected)

    def _divergence(self, place: Spot) -> Divergence:
        inner = self._of.inner.get(place.node)
        node = inner.around if inner else place.node
        where = self._of.places.get(node)
        if where is None or not where.source:  # nothing has its value, but in the graph that was put right
            where = self._right_places.get(node, where)
        module, source = (where.module, where.source) if where else ("", "")
        if inner and inner.module:
            module = inner.module
        return divergence(self._subject.graph_trace, place, module, source)

    @cached_property
    def _right_places(self) -> Mapping[str, Place]:
        subject, trace = self._subject, self._mended.trace if self._mended else None
        if trace is None:
            return {}
        matches = match(trace, subject.module_trace)
        return places(trace, subject.module_trace, matches, subject.model, subject.module)

    def _modules(self) -> tuple[ModuleErrors, ...]:
        subject = self._subject
        mended = self._mended.trace if self._mended else None
        return module_errors(
            subject.graph_trace,
            subject.module_trace,
            self._of.matches,
            mended,
            subject.module,
            self._of.places,
        )

    def _settled(self, cause: Cause, where: Divergence | None) -> Cause:
        """With another remedy where the exporter freezes what the module decides by its input there."""
        fresh = self._of.fresh if self._of.has_exported else None
        return without_choice(cause, fresh, where) if fresh else cause


def _unknown(place: Spot) -> Cause:
    return Cause(
        kind="unknown",
        leg="export",
        message=f"{place.node} ({place.op_type}) gives what no operator of the module gives; nothing that "
        "was tried explains it",
        remedy="compare this node with the module's code, or export again and run the gate again",
        node=place.node,
    )
