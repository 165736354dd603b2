"""One run of the module as the user runs it, observed; source lines are looked for up to here."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import nn

from parity.diagnosis.torch64.dtypes import native_dtype
from parity.diagnosis.torch64.places import ModuleStack

from .drawing import CalledFunction, Drawn, DrawWatch, noting_train_mode, outside_generators
from .shadow import Functions, Shadow, ShadowPass


def shadow(run: Callable[[], object], module: nn.Module) -> ShadowPass:
    """Runs the module with every operator judged.

    Modes that `run` enters itself see an operator first; what these make of it is what is judged.

    Args:
        run: calls the module, once, as the user does.
        module: whose paths are given.

    Raises whatever `run` raises.
    """
    seen = ShadowPass()
    stack = ModuleStack(module)
    functions = Functions()
    torch.clear_autocast_cache()  # a weight that was cast before would have no origin
    with _eagerly(), stack.following(), Shadow(seen, stack, functions, native_dtype(module, [])), functions:
        seen.result = run()
    return seen


def observe_draws(run: Callable[[], object], module: nn.Module) -> Drawn:
    """Runs the module once and sees what it draws. Raises whatever `run` raises."""
    drawn = Drawn()
    stack = ModuleStack(module)
    functions = CalledFunction()
    before = outside_generators()
    with (
        noting_train_mode(module, drawn.training),
        stack.following(),
        DrawWatch(drawn, stack, functions),
        functions,
    ):
        run()
    drawn.outside = [name for name, state in outside_generators().items() if state != before[name]]
    return drawn


@contextmanager
def _eagerly() -> Iterator[None]:
    with ExitStack() as settings:
        if "torch._dynamo" in sys.modules:  # else nothing is compiled, and importing it takes seconds
            settings.enter_context(torch.compiler.set_stance("force_eager"))
        yield
