"""Why two runs of the reference on the same inputs differ."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from parity.diagnosis.torch64.arguments import leaves
from parity.records.diagnosis import Cause, CauseKind

from .drawing import Drawn, RandomState, noting_train_mode
from .observing import observe_draws

_Run = Callable[[], object]

_SHOWN = 5
_CHANCE = 0.1  # of the difference: two pairs of runs may differ by as much, though nothing is mended
_LEFT = 0.05  # of the difference: what is not worth another probe
_UNSOUND = re.compile(r"^(\S+) does not have a deterministic implementation")
_DETERMINISTIC = "torch.use_deterministic_algorithms(True), or numerics: strict"


@dataclass(frozen=True)
class RepeatabilityFinding:
    """Why two runs differ: the cause with the largest share first; none where two runs agreed."""

    causes: tuple[Cause, ...] = ()
    notes: tuple[str, ...] = ()


def diagnose_repeatability(run: _Run, module: nn.Module) -> RepeatabilityFinding:
    """Runs the module up to a dozen times, and takes one reason after the other away.

    First the train mode of its modules, then random numbers, by going on from the same state of every
    generator; then what a run leaves in parameters and buffers; then kernels that add in no fixed order. The
    share of a reason is the part of the difference between two runs that goes with it: root mean square,
    relative to the result. Afterwards the generators, the parameters and the buffers are what they were.

    Args:
        run: calls the module once, on inputs of its own.
        module: the one that it calls.

    Raises whatever `run` raises.
    """
    state = _State(module)
    try:
        return _diagnose(run, module, state)
    finally:
        state.restore()


def _diagnose(run: _Run, module: nn.Module, state: _State) -> RepeatabilityFinding:
    free = _difference(run(), run())
    if not free > 0.0:
        return RepeatabilityFinding(notes=("two runs of the reference in this process agreed",))
    drawn = observe_draws(run, module)
    causes: list[Cause] = []
    left = free

    def explained(kind: CauseKind, message: str, remedy: str, now: float) -> None:
        nonlocal left
        if now <= left - _CHANCE * free:
            causes.append(_cause(kind, message, remedy, (left - now) / free))
            left = now

    training = _in_train_mode(drawn)
    evaluating = noting_train_mode(module, {}, end=True) if training else nullcontext()
    with evaluating:
        if training:
            now = _difference(run(), run())
            explained("train-mode", training, "call eval(), and don't call train() in forward", now)
            drawn = observe_draws(run, module)
        if left > _LEFT * free and _random(drawn):
            explained("nondeterminism", _random(drawn), _mend_random(drawn), _repeated(run, state.generators))
        changed = state.changed()
        if left > _LEFT * free and changed:
            message = f"each run changes {_listed(changed)}: the next one starts from something else"
            explained("nondeterminism", message, "don't write to buffers in eval mode", _repeated(run, state))
        if left > _LEFT * free:
            with _deterministic() as named:
                now = _repeated(run, state)
            message = f"kernels add in no fixed order: {_listed(named) or 'none that PyTorch names'}"
            explained("nondeterminism", message, _DETERMINISTIC, now)
    causes.sort(key=lambda cause: cause.share or 0.0, reverse=True)
    unexplained = f"{left / free:.0%} of the difference between two runs is not explained"
    return RepeatabilityFinding(tuple(causes), (unexplained,) if left > _LEFT * free else ())


class _State:
    """What a run may start from: every generator, parameter and buffer."""

    def __init__(self, module: nn.Module) -> None:
        self.generators = RandomState()
        named = [*module.named_parameters(), *module.named_buffers()]
        self._held = [(name, tensor, tensor.detach().clone()) for name, tensor in named]

    def changed(self) -> list[str]:
        """Names of parameters and buffers that are not what they were."""
        return [name for name, tensor, own in self._held if not _equal(tensor, own)]

    def restore(self) -> None:
        """All is as it was."""
        self.generators.restore()
        with torch.no_grad():
            for _, tensor, own in self._held:
                if not _equal(tensor, own):
                    tensor.data.copy_(own)


def _equal(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.allclose(
        one.detach(), other, rtol=0.0, atol=0.0, equal_nan=one.is_floating_point()
    )


def _repeated(run: _Run, state: _State | RandomState) -> float:
    """The difference of two runs from the same state."""
    state.restore()
    first = run()
    state.restore()
    return _difference(first, run())


def _difference(first: object, second: object) -> float:
    """Root mean square of the relative differences of all tensors; infinite where their shapes differ."""
    pairs = list(zip(leaves(first, Tensor), leaves(second, Tensor), strict=False))
    squares = [_relative(one, other) ** 2 for one, other in pairs]
    return (sum(squares) / len(squares)) ** 0.5 if squares else 0.0


def _relative(one: Tensor, other: Tensor) -> float:
    if one.shape != other.shape:
        return float("inf")
    if not one.numel():
        return 0.0
    dtype = torch.complex128 if one.is_complex() else torch.float64
    a, b = (each.detach().to(dtype).nan_to_num(0.0) for each in (one, other))
    scale = float(a.abs().square().mean().sqrt())
    return float((a - b).abs().square().mean().sqrt()) / (scale or 1.0)


@contextmanager
def _deterministic() -> Iterator[list[str]]:
    """Kernels of a fixed order where there are any; gives the names of those without, filled at the end."""
    enabled = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    named: list[str] = []
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            yield named
    finally:
        torch.use_deterministic_algorithms(enabled, warn_only=warn_only)
    found = (_UNSOUND.match(str(each.message)) for each in told)
    named += dict.fromkeys(match.group(1) for match in found if match)


def _in_train_mode(drawn: Drawn) -> str:
    """Modules in train mode that draw or that normalize by the batch; empty if none does."""
    drawing = {draw.module for draw in drawn.draws}
    names = [
        f"{path or 'the module itself'} ({type(module).__name__})"
        for path, module in drawn.training.items()
        if path in drawing or isinstance(module, nn.modules.batchnorm._NormBase)
    ]
    if not names:
        return ""
    return f"{_listed(names)} {'is' if len(names) == 1 else 'are'} in train mode when called"


def _random(drawn: Drawn) -> str:
    """What draws, seen while no module is in train mode; empty if nothing does."""
    places = [
        f"{draw.function.removeprefix('torch.nn.functional.')} in {draw.module or 'the module itself'}"
        + (f" at {draw.source}" if draw.source else "")
        for draw in drawn.draws
    ]
    places += drawn.outside
    return f"random numbers are drawn by {_listed(places)}" if places else ""


def _mend_random(drawn: Drawn) -> str:
    if any("dropout" in draw.function for draw in drawn.draws):
        return "functional.dropout(x, p, training=self.training)"
    return "take the random numbers as an input, or leave them out in eval mode"


def _cause(kind: CauseKind, message: str, remedy: str, share: float) -> Cause:
    return Cause(kind=kind, leg="repeatability", message=message, remedy=remedy, share=min(1.0, share))


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
