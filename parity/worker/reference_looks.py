"""What the reference's process finds out beside the export leg: PyTorch, what does not repeat, the inputs.

Each look gives what it found by the name of the ONNX output, and leaves out what it says nothing about.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from torch import Tensor

from parity.artifacts import Array
from parity.diagnosis.budget import Results, difference
from parity.diagnosis.export_leg import NO_TRACE
from parity.diagnosis.matching import match, places
from parity.diagnosis.reference_leg.finding import ReferenceFinding, diagnose_reference
from parity.diagnosis.reference_leg.inputs import diagnose_inputs
from parity.diagnosis.reference_leg.random_nodes import ActiveNode, active_nodes, reaching
from parity.diagnosis.reference_leg.repeatability import diagnose_repeatability
from parity.records.diagnosis import Cause, Diagnosis, Divergence
from parity.worker.evaluated import Evaluated
from parity.worker.evaluations import attempt

Diagnoses = Mapping[str, Diagnosis]
Places = Mapping[str, tuple[str, str]]
"""ONNX node, by its name or first output -> PyTorch module and source line."""

_A_GOOD_PART = 0.5  # of the total: what two runs of a side differ by
_KEPT = 2.0**-18  # of an output's greatest element: no more is off where no operator lost precision


@dataclass(frozen=True)
class Found:
    """What is known of one output's leg.

    Args:
        first: where it starts.
        causes: the one with the largest share first.
        notes: what could not be looked into, and why.
    """

    first: Divergence | None = None
    causes: tuple[Cause, ...] = ()
    notes: tuple[str, ...] = ()


def look_into_reference(evaluated: Evaluated, diagnoses: Diagnoses) -> dict[str, Found]:
    """PyTorch operator by operator, for outputs whose rounding stands out, with NaN or overflow.

    Where that rounding is honest by the figures alone, no operator is run for it.
    """
    stands_out = {
        name: results
        for name, results in evaluated.results.items()
        if evaluated.is_worth_a_look(name, diagnoses[name], "reference") or _loses_finiteness(results)
    }
    honest = {
        name: Found(causes=(_honest(diagnoses[name]),))
        for name, results in stands_out.items()
        if diagnoses[name].is_honest_reference and not evaluated.autocast and not _loses_finiteness(results)
    }
    due = {name: results for name, results in stands_out.items() if name not in honest}
    return honest | _by_operator(evaluated, due)


def _honest(diagnosis: Diagnosis) -> Cause:
    budget = diagnosis.budget
    return Cause(
        kind="rounding",
        leg="reference",
        message=(
            f"rounding, amplified by the network: PyTorch is {budget.reference_rounding:.3g} off its exact "
            f"result, under strict numerics too, and ONNX Runtime, with its own kernels, "
            f"{budget.runtime_error:.3g}"
        ),
        remedy="none needed: take a tolerance above the noise floor",
    )


def _by_operator(evaluated: Evaluated, due: Mapping[str, Results]) -> dict[str, Found]:
    if not due:
        return {}
    component = evaluated.component
    found = attempt(
        lambda: diagnose_reference(evaluated.run, component.module),
        "followed operator by operator",
        component.whose,
        component.device,
    )
    if isinstance(found, str):
        return dict.fromkeys(due, Found(notes=(found,)))
    return {name: _of_output(found, results) for name, results in due.items()}


def _of_output(found: ReferenceFinding, results: Results) -> Found:
    """The operators ran for all outputs: leaves out what this one can't have got from them."""
    of_nan, exact = _loses_finiteness(results), _keeps_float32(results)
    causes = tuple(
        cause
        for cause in found.causes
        if cause.kind == "rounding" or (of_nan if cause.kind == "nan" else not exact)
    )
    kinds = [cause.kind for cause in found.causes]
    placed = of_nan if "nan" in kinds else any(cause.kind != "rounding" for cause in causes)
    return Found(found.first_divergence if placed else None, causes, found.notes)


def look_into_repeatability(evaluated: Evaluated, diagnoses: Diagnoses) -> dict[str, Found]:
    """Why two runs of the module differ, for the outputs of which much does not repeat."""
    due = [
        name
        for name, results in evaluated.results.items()
        if is_unrepeatable(diagnoses[name]) and _differs(results.reference, results.reference_again)
    ]
    if not due:
        return {}
    component = evaluated.component
    found = attempt(
        lambda: diagnose_repeatability(evaluated.run, component.module),
        "run again",
        component.whose,
        component.device,
    )
    if isinstance(found, str):
        return dict.fromkeys(due, Found(notes=(found,)))
    return dict.fromkeys(due, Found(causes=found.causes, notes=found.notes))


def is_unrepeatable(diagnosis: Diagnosis) -> bool:
    """Whether two runs of one side differ by a good part of the total."""
    budget = diagnosis.budget
    if diagnosis.dominant_leg == "repeatability":
        return True
    return bool(budget.repeatability and budget.total and budget.repeatability > _A_GOOD_PART * budget.total)


def look_for_random_nodes(evaluated: Evaluated, where: Places) -> dict[str, Found]:
    """What the file draws at random, for the outputs that it reaches: these have no float64, or differ."""
    due = [name for name, results in evaluated.results.items() if _is_restless(results)]
    if not due:
        return {}
    nodes = active_nodes(onnx.load(evaluated.component.job.onnx, load_external_data=False))
    graph = evaluated.graph_trace or NO_TRACE
    reached = {name: reaching(nodes, graph, name) for name in due}
    return {
        name: Found(_divergence(found[0], where), tuple(node.cause for node in found))
        for name, found in reached.items()
        if found
    }


def _is_restless(results: Results) -> bool:
    return isinstance(results.candidate64, str) or _differs(results.candidate, results.candidate_again)


def _divergence(node: ActiveNode, where: Places) -> Divergence:
    module, source = where.get(node.node, ("", ""))
    return Divergence(leg="repeatability", node=node.node, op_type=node.op_type, module=module, source=source)


def look_up_places(evaluated: Evaluated) -> Places:
    """Where the file's nodes are in the PyTorch model, of those where anything tells."""
    graph, component = evaluated.graph_trace, evaluated.component
    if graph is None:
        return {}
    module = evaluated.module_trace or NO_TRACE  # then only names tell
    model = onnx.load(component.job.onnx, load_external_data=False)
    found = places(graph, module, match(graph, module), model, component.module)
    return {node: (place.module, place.source) for node, place in found.items()}


def look_at_inputs(evaluated: Evaluated) -> tuple[dict[str, Found], tuple[Cause, ...]]:
    """NaN and infinities, for outputs that are not finite either; and what else is odd about the inputs."""
    finite: dict[str, Tensor] = {}
    others: dict[str, Tensor] = {}
    for name, tensor in evaluated.inputs().items():
        (finite if bool(tensor.isfinite().all()) else others)[name] = tensor
    nonfinite = diagnose_inputs(others)
    reached = {
        name: Found(causes=nonfinite)
        for name, results in evaluated.results.items()
        if nonfinite and not (_is_finite(results.reference) and _is_finite(results.candidate))
    }
    return reached, diagnose_inputs(finite)


def _loses_finiteness(results: Results) -> bool:
    """Whether the reference has a NaN, or is finite elsewhere than it is in float64."""
    if _is_finite(results.reference):
        return not isinstance(results.reference64, str) and not _is_finite(results.reference64)
    return _has_nan(results.reference) or difference(results.reference, results.reference64).disagreeing > 0


def _keeps_float32(results: Results) -> bool:
    """Whether the reference is so near to its exact result that no operator before it lost precision."""
    error = difference(results.reference, results.reference64).known
    numbers = _numbers(results.reference)
    greatest = float(np.abs(numbers).max(initial=0.0, where=np.isfinite(numbers)))
    return error is not None and error <= _KEPT * greatest


def _differs(one: Array, other: Array | str) -> bool:
    found = difference(one, other)
    return found.greatest > 0.0 or found.disagreeing > 0


def _is_finite(array: Array) -> bool:
    return bool(np.isfinite(_numbers(array)).all())


def _has_nan(array: Array) -> bool:
    return bool(np.isnan(_numbers(array)).any())


def _numbers(array: Array) -> Array:
    """In a type that NumPy can judge; nothing of strings and objects."""
    if array.dtype.kind in "USO":
        return np.zeros(0)
    return array if array.dtype.kind == "c" else array.astype(np.float64, copy=False)
