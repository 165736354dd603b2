"""Where a NaN or an infinity in the reference comes from."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from parity.diagnosis.torch64.arguments import leaves
from parity.records.diagnosis import Cause, Divergence

from .shadow import Place, ShadowPass

_SHOWN = 5


@dataclass(frozen=True)
class Nonfinite:
    """Causes of kind "nan", and the operator that is to blame; none where the result is finite."""

    causes: tuple[Cause, ...] = ()
    divergence: Divergence | None = None


def diagnose_nonfinite(seen: ShadowPass, module: nn.Module) -> Nonfinite:
    """Why the result of a run has a NaN or an infinity; nothing if it has none.

    A NaN or infinity within the model (a mask of -inf) is no cause as long as it does not reach the result.
    """
    nan, infinite = _content(seen.result)
    if not nan and not infinite:
        return Nonfinite()
    held = _held(module)
    if held:
        return Nonfinite(
            (_cause(f"{held} of the module hold NaN or infinite values", "mend the checkpoint"),)
        )
    place = (seen.first_nan if nan else None) or seen.first_infinity
    if place is None:
        return Nonfinite()
    made = "NaN of numbers" if place is seen.first_nan else "infinity of finite numbers"
    message = f"{place.op}{_where(place)} makes the first {made}"
    earlier = seen.first_infinity
    if earlier is not None and earlier is not place:
        message += f"; the first infinity is made by {earlier.op}{_where(earlier)}"
    divergence = Divergence(
        leg="reference", node=place.op, op_type=place.op, module=place.module, source=place.source
    )
    remedy = "keep its operands within what it is defined for: clamp, or add an epsilon"
    return Nonfinite((_cause(message, remedy, place.op),), divergence)


def _cause(message: str, remedy: str, node: str = "") -> Cause:
    return Cause(kind="nan", leg="reference", message=message, remedy=remedy, node=node)


def _where(place: Place) -> str:
    where = [f"in {place.module}"] if place.module else []
    where += [f"at {place.source}"] if place.source else []
    return " " + " ".join(where) if where else ""


def _held(module: nn.Module) -> str:
    """Parameters and buffers with a NaN; an infinity may be meant, a NaN never is."""
    named = [*module.named_parameters(), *module.named_buffers()]
    bad = [name for name, tensor in named if tensor.is_floating_point() and bool(tensor.isnan().any())]
    more = f" and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
    return ", ".join(bad[:_SHOWN]) + more


def _content(result: object) -> tuple[bool, bool]:
    tensors = [tensor for tensor in leaves(result, Tensor) if tensor.is_floating_point()]
    with torch.no_grad():
        return any(bool(t.isnan().any()) for t in tensors), any(bool(t.isinf().any()) for t in tensors)
