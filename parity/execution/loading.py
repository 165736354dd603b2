"""How each side of a comparison is asked to load: a PyTorch reference, an ONNX reference, a candidate."""

from __future__ import annotations

from pathlib import Path

from parity.execution.process import SideName
from parity.records.plan import SuitePlan
from parity.records.requests import LoadOnnxReference, LoadReference, StartCandidate
from parity.records.sides import Comparison, OnnxRuntimeSide, SavedSide, TorchSide


def reference_role(comparison: Comparison) -> SideName:
    """What kind of worker serves the reference."""
    match comparison.reference:
        case OnnxRuntimeSide():
            return "onnx-reference"
        case SavedSide():
            return "saved"
        case TorchSide():
            return "reference"


def load_reference(plan: SuitePlan, comparison: Comparison) -> LoadReference | LoadOnnxReference:
    """The request that a reference's worker starts with."""
    side, candidates = comparison.reference, comparison.candidate.components(plan.components)
    if isinstance(side, OnnxRuntimeSide):
        return LoadOnnxReference(
            components=side.components(plan.components),
            pipeline=plan.pipeline,
            device=side.device,
            numerics=plan.numerics,
            options=side.options,
            base_dir=plan.base_dir,
            candidates={component.name: component.onnx for component in candidates},
        )
    return LoadReference(
        components=candidates,  # the modules answer to the names of the candidate's files
        pipeline=plan.pipeline,
        device=side.device,
        numerics=plan.numerics,
        base_dir=plan.base_dir,
        variant=side.variant if isinstance(side, TorchSide) else None,
    )


def start_candidate(plan: SuitePlan, comparison: Comparison) -> StartCandidate:
    """The request that a candidate's worker starts with."""
    side = comparison.candidate
    return StartCandidate(
        components=side.components(plan.components),
        pipeline=plan.pipeline,
        device=side.device,
        numerics=plan.numerics,
        options=side.options,
        base_dir=plan.base_dir,
        save_optimized=_optimized(plan, comparison),
    )


def _optimized(plan: SuitePlan, comparison: Comparison) -> str | None:
    """A folder of this comparison's own for optimized graphs; None: they are not kept."""
    folder = plan.save_optimized
    return None if folder is None else str(Path(folder) / comparison.folder)
