"""Why a graph computes something else than its module, from the surest evidence to the least sure.

1. Initializers that are not the checkpoint's are put right in the file, and count as the cause by the share
   of the error that is gone then. They come first because they are most often it, and cost no export.
2. A fresh export of the same module, compared with the file node by node: what has changed is put right and
   measured likewise.
3. Outputs that are another output of the module, or the right one in another order.
4. A fresh export that is right where the file is not, or wrong where the file is: the file is another one, or
   the exporter has a defect.
5. The first node whose value PyTorch never had: the place, without a cause.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from parity.diagnosis.graphs.comparing import Comparison, compare
from parity.diagnosis.graphs.reexport import FreshExport, export_again
from parity.diagnosis.initializers.findings import Finding
from parity.diagnosis.initializers.lookup import look_up
from parity.diagnosis.localizing import localize
from parity.diagnosis.matching import Matches, Place, match, module_errors, places
from parity.diagnosis.tracing import Trace
from parity.records.diagnosis import Cause, Divergence
from parity.worker.problems import Unable

from .explaining import EXPLAINS, Explained, Explanation, by_changes, by_initializers, by_order, repair
from .exporters import whose_fault
from .finding import ExportFinding, Spot, divergence
from .mending import Mended
from .subject import Subject

_ALONE = 0.95  # the share of an error from which on nothing else is looked for
_ROUNDING = 10.0  # times the noise floor: up to here what nothing explains is rounding


def diagnose_export(subject: Subject) -> ExportFinding:
    """Where the export error of each output in `subject.errors` starts, and what causes it."""
    return _Diagnosis(subject).run()


class _Diagnosis:
    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._notes: list[str] = []
        self._mended: Mended | None = None

    def run(self) -> ExportFinding:
        """Tries one way after the other, each on the outputs that are left."""
        explained: Explained = {}
        for way in (self._altered_alone, self._changed, self._altered, self._reordered, self._otherwise):
            left = [name for name in self._subject.errors if name not in explained]
            if left:
                found = way()
                explained |= {name: found[name] for name in left if name in found}
        divergences = {
            name: self._divergence(each.place) for name, each in explained.items() if each.place is not None
        }
        return ExportFinding(
            divergences=divergences,
            causes={name: each.causes for name, each in explained.items()},
            modules=module_errors(
                self._subject.graph_trace,
                self._subject.module_trace,
                self._matches,
                self._mended.trace if self._mended else None,
                self._subject.module,
                self._places,
            ),
            notes=tuple(dict.fromkeys(self._notes)),
        )

    # --- what the ways have in common, each looked for once

    @cached_property
    def _matches(self) -> Matches:
        return match(self._subject.graph_trace, self._subject.module_trace)

    @cached_property
    def _places(self) -> Mapping[str, Place]:
        subject = self._subject
        return places(subject.graph_trace, subject.module_trace, self._matches, subject.model, subject.module)

    @cached_property
    def _fresh(self) -> FreshExport | None:
        return self._export()

    @cached_property
    def _comparison(self) -> Comparison | None:
        return compare(self._subject.model, self._fresh.model) if self._fresh else None

    @cached_property
    def _initializers(self) -> tuple[Finding, ...]:
        subject = self._subject
        return look_up(subject.model, subject.folder, subject.module.state_dict())

    @cached_property
    def _repaired(self) -> Mended | None:
        """With the checkpoint's initializers where they are others."""
        return repair(self._subject, self._initializers)

    # --- the ways

    def _changed(self) -> Explained:
        comparison = self._comparison
        if comparison is None or not comparison.changes or comparison.messy:
            return {}
        parameters = {each.name: each.parameter for each in self._initializers}
        explained, mended = by_changes(self._subject, comparison.changes, parameters)
        self._mended = mended if explained else None
        return explained

    def _altered_alone(self) -> Explained:
        """Initializers that leave nothing for another cause to explain."""
        return self._altered(_ALONE)

    def _altered(self, least: float = EXPLAINS) -> Explained:
        if self._repaired is None:
            return {}
        explained = by_initializers(self._subject, self._initializers, self._repaired, least)
        self._mended = self._mended or (self._repaired if explained else None)
        return explained

    def _reordered(self) -> Explained:
        return by_order(self._subject)

    def _otherwise(self) -> Explained:
        """What the fresh export says about it, and by value where it starts."""
        subject = self._subject
        verdict = whose_fault(subject, self._fresh, self._export) if self._fresh else None
        right = verdict.right if verdict else None
        explained = {}
        for name, error in subject.errors.items():
            if error <= _ROUNDING * subject.noise[name]:  # folded constants are stored rounded
                continue
            place = self._located(name, right)
            cause = verdict.causes.get(name) if verdict else None
            if cause is None and place is not None:
                cause = _unknown(place)
            if cause is not None:
                explained[name] = Explanation(place, (cause,))
        return explained

    def _export(self, exporter: str | None = None) -> FreshExport | None:
        """The module exported now, as the file was or by this exporter."""
        subject = self._subject
        args, kwargs = subject.arguments()
        try:
            return export_again(
                subject.module,
                args,
                kwargs,
                subject.model,
                subject.scratch,
                output_names=subject.output_names,
                exporter=exporter,
            )
        except Unable as error:
            self._notes.append(f"no fresh export to compare with: {error.problem}")
            return None

    def _located(self, name: str, right: Trace | None) -> Spot | None:
        """The first suspect by value, against a right export, which shows more tensors, or else PyTorch."""
        graph, module = self._subject.graph_trace, right or self._subject.module_trace
        if name not in module.outputs:
            return None
        matches = self._matches if right is None else match(graph, right)
        found = localize(graph, module, matches, name)
        if not found.suspects:
            return None
        first = found.suspects[0]
        expected = None if found.counterpart is None else module.tensors[found.counterpart].sketch
        return Spot(first.op.node, first.op.op_type, graph.tensors[first.tensor].name, expected)

    def _divergence(self, place: Spot) -> Divergence:
        where = self._places.get(place.node)
        module, source = (where.module, where.source) if where else ("", "")
        return divergence(self._subject.graph_trace, place, module, source)


def _unknown(place: Spot) -> Cause:
    return Cause(
        kind="unknown",
        leg="export",
        message=f"{place.node} ({place.op_type}) gives what no operator of the module gives; nothing that "
        "was tried explains it",
        remedy="compare this node with the module's code, or export again and run the gate again",
        node=place.node,
    )
