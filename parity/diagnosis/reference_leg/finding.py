"""Why the reference is off its own exact result: the operators that lost more than their dtype costs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import nn

from parity.diagnosis.precision import Format
from parity.records.diagnosis import Cause, CauseKind, Divergence

from .comparison import explains
from .nonfinite import diagnose_nonfinite
from .observing import shadow
from .shadow import LocalError, ShadowPass

_SHOWN = 5  # reasons of one kind
_CLEARLY = 0.5  # of the residual: how much less a format must leave to be preferred
_NAMES: Mapping[Format, str] = {"tf32": "TF32 (10 mantissa bits)"}
_FORMATS: Mapping[torch.dtype, Format] = {torch.float16: "float16", torch.bfloat16: "bfloat16"}
_ELEVEN_BITS: tuple[Format, ...] = ("tf32", "float16")


@dataclass(frozen=True)
class ReferenceFinding:
    """What a run of the reference showed.

    Args:
        first_divergence: the first operator that lost more than its dtype costs; None if none did.
        causes: the one with the largest share first; never empty.
        notes: operators that could not be judged, and why.
    """

    first_divergence: Divergence | None
    causes: tuple[Cause, ...]
    notes: tuple[str, ...] = ()


def diagnose_reference(run: Callable[[], object], module: nn.Module) -> ReferenceFinding:
    """Runs the module once, every operator held against float64 on its own operands.

    Costs about one run, and one more in float64. The share of a cause is the part of the root mean square of
    all local errors, each relative to its result, that goes when its operators lose only what the cause does
    not reproduce; of autocast, what they lose in the module's own dtype.

    Args:
        run: calls the module as the user does: its dtype, its device, the numerics in force.
        module: the one that it calls.

    Raises whatever `run` raises.
    """
    seen = shadow(run, module)
    off = [error for error in seen.errors if error.judged.off]
    nonfinite = diagnose_nonfinite(seen, module)
    causes = nonfinite.causes + _causes(off, seen.errors)
    return ReferenceFinding(
        first_divergence=nonfinite.divergence or (_divergence(off[0]) if off else None),
        causes=causes or (_rounding(seen),),
        notes=_notes(seen),
    )


@dataclass(frozen=True)
class _Hypothesis:
    """What lowered the precision of an operator.

    Args:
        format: that its operands were rounded to; None if none explains it.
        autocast: whether autocast asked for it.
    """

    format: Format | None
    autocast: bool = False

    @property
    def kind(self) -> CauseKind:
        if self.autocast or self.format in {"float16", "bfloat16"}:
            return "precision"
        return "unknown" if self.format is None else "tf32"

    @property
    def computed(self) -> str:
        if self.autocast:
            return f"computed in {self.format or 'lower precision'} by autocast"
        if self.format is None:
            return "computed less exactly than the dtype allows, and rounded operands don't explain it"
        return f"computed with operands rounded to {_NAMES.get(self.format, self.format)}"


def _causes(off: list[LocalError], errors: list[LocalError]) -> tuple[Cause, ...]:
    groups: dict[_Hypothesis, list[LocalError]] = {}
    for error, hypothesis in zip(off, _hypotheses(off), strict=True):
        groups.setdefault(hypothesis, []).append(error)
    causes = [_cause(hypothesis, group, errors) for hypothesis, group in groups.items()]
    return tuple(sorted(causes, key=lambda cause: -1.0 if cause.share is None else cause.share, reverse=True))


def _hypotheses(off: list[LocalError]) -> Iterator[_Hypothesis]:
    """One for each operator.

    TF32 and float16 have as many bits, and differ where a number is tiny or lies midway between two. Hardware
    does TF32 unasked, so float16 must explain clearly more, over all operators.
    """
    alike = [error for error in off if error.autocast is None and _best(error) in _ELEVEN_BITS]
    left: dict[Format, float] = {
        name: sum((error.judged.relative * (1 - error.judged.shares[name])) ** 2 for error in alike)
        for name in _ELEVEN_BITS
    }
    eleven_bits: Format = "float16" if left["float16"] < left["tf32"] * _CLEARLY**2 else "tf32"
    for error in off:
        best = _best(error)
        if error.autocast is not None:
            yield _Hypothesis(_FORMATS.get(error.computed_in, best), autocast=True)
        else:
            yield _Hypothesis(eleven_bits if best in _ELEVEN_BITS else best)


def _best(error: LocalError) -> Format | None:
    shares = error.judged.shares
    return max(shares.items(), key=lambda item: item[1])[0] if explains(shares) else None


def _cause(hypothesis: _Hypothesis, group: list[LocalError], errors: list[LocalError]) -> Cause:
    first = group[0].place
    kinds = list(dict.fromkeys(_kind(error) for error in group))
    alike = [error for error in errors if _kind(error) in kinds]
    count = f"{len(group)} of {len(alike)} such operators"
    where = f", first in {first.module}" if first.module else ""
    return Cause(
        kind=hypothesis.kind,
        leg="reference",
        message=f"{_listed(kinds)} {hypothesis.computed}: {count}{_kept(group)}{where}",
        remedy=_remedy(hypothesis, group),
        share=_share(hypothesis, group, errors) if hypothesis.kind != "unknown" else None,
        node=first.op,
    )


def _kind(error: LocalError) -> str:
    return error.family or error.place.op


def _share(hypothesis: _Hypothesis, group: list[LocalError], errors: Iterable[LocalError]) -> float:
    """See `diagnose_reference`."""
    total = sum(error.judged.relative**2 for error in errors)
    explained = 0.0
    for error in group:
        reproduced = error.judged.shares.get(hypothesis.format, 0.0) if hypothesis.format else 0.0
        left = 1 - (reproduced if error.autocast is None else error.autocast)
        explained += error.judged.relative**2 * max(0.0, 1 - left**2)
    if not 0.0 < total < math.inf:
        return 0.0
    return 1.0 - math.sqrt(max(0.0, 1.0 - explained / total))


def _kept(group: list[LocalError]) -> str:
    bits = sorted(error.judged.bits for error in group if error.judged.bits is not None)
    if not bits:
        return ""
    span = f"{bits[0]:.1f}" if len(bits) == 1 else f"{bits[0]:.1f} to {bits[-1]:.1f}"
    usual = ", where float32 keeps 21 to 24" if group[0].dtype is torch.float32 else ""
    return f", sums of products kept {span} bits{usual}"


def _listed(names: list[str]) -> str:
    if len(names) > _SHOWN:
        return f"{', '.join(names[:_SHOWN])} and {len(names) - _SHOWN} more"
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _remedy(hypothesis: _Hypothesis, group: list[LocalError]) -> str:
    if hypothesis.autocast:
        return "leave autocast: run the module outside of torch.autocast, or with enabled=False"
    cuda = group[0].device.type == "cuda"
    families = {error.family for error in group}
    if hypothesis.format is None:
        if cuda and group[0].dtype in _FORMATS and "matmul" in families:
            short = "fp16" if group[0].dtype is torch.float16 else "bf16"
            return f"torch.backends.cuda.matmul.allow_{short}_reduced_precision_reduction = False"
        return "numerics: strict; if it stays, take a tolerance above the noise floor"
    backends = {
        "convolution": "cudnn.conv" if cuda else "mkldnn.conv",
        "recurrent layer": "cudnn.rnn" if cuda else "mkldnn.rnn",
        "matmul": "cuda.matmul" if cuda else "mkldnn.matmul",
        "attention": "cuda.matmul" if cuda else "mkldnn.matmul",
    }
    named = dict.fromkeys(backends[error.family] for error in group if error.family)
    lines = [f'torch.backends.{name}.fp32_precision = "ieee"' for name in named]
    return ", or ".join(filter(None, ["; ".join(lines), "numerics: strict"]))


def _rounding(seen: ShadowPass) -> Cause:
    """No operator is off: what there is, is the sum of honest rounding."""
    remedy = "none needed: take a tolerance above the noise floor"
    if not seen.errors:
        return Cause(kind="rounding", leg="reference", message="no operator rounds by itself", remedy=remedy)
    worst = max(seen.errors, key=lambda error: error.judged.relative)
    most = f"{worst.judged.relative:.2g} of its result"
    dtype = str(worst.dtype).removeprefix("torch.")
    where = f" in {worst.place.module}" if worst.place.module else ""
    return Cause(
        kind="rounding",
        leg="reference",
        message=(
            f"{dtype} rounding, amplified by the network: none of {len(seen.errors)} operators "
            f"is off by itself, at most {most} ({worst.place.op}{where})"
        ),
        remedy=remedy,
        node=worst.place.op,
    )


def _divergence(error: LocalError) -> Divergence:
    return Divergence(
        leg="reference",
        node=error.place.op,
        op_type=error.place.op,
        module=error.place.module,
        source=error.place.source,
        shape=error.shape,
        local_error=error.judged.error,
        expected=error.expected,
        found=error.found,
        effective_bits=error.judged.bits,
    )


def _notes(seen: ShadowPass) -> tuple[str, ...]:
    named = [f"{op}: {why}" for op, why in seen.skipped.items()]
    if not named:
        return ()
    more = f" and {len(named) - _SHOWN} more" if len(named) > _SHOWN else ""
    return (f"not held against float64: {'; '.join(named[:_SHOWN])}{more}",)
