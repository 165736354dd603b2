"""What a run draws at random, and which modules are in train mode when they are called."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn
from torch._ops import OpOverload
from torch.overrides import TorchFunctionMode, resolve_name
from torch.utils._python_dispatch import TorchDispatchMode

from parity.diagnosis.torch64.arguments import random_devices, random_generators
from parity.diagnosis.torch64.places import ModuleStack, hookable, source_line

from .shadow import START


@dataclass(frozen=True, slots=True)
class Draw:
    """A call that drew random numbers, where the model made it."""

    function: str  # torch.nn.functional.dropout; the ATen operator where no function is known
    module: str
    source: str


@dataclass
class Drawn:
    """What one run did.

    Args:
        draws: an ordered set.
        training: modules that were in train mode when they were called, by their path.
        outside: generators outside of PyTorch that moved.
    """

    draws: dict[Draw, None] = field(default_factory=dict)
    training: dict[str, nn.Module] = field(default_factory=dict)
    outside: list[str] = field(default_factory=list)


@contextmanager
def noting_train_mode(
    module: nn.Module, training: dict[str, nn.Module], *, end: bool = False
) -> Iterator[None]:
    """Notes the modules that are in train mode when they are called, or after it, by path.

    With `end` they are put in eval mode before they go on. All modes are given back at the end.
    """
    names = {id(child): name for name, child in module.named_modules()}
    modes = [(child, child.training) for child in module.modules()]

    def note(child: nn.Module, *_: Any) -> None:
        if child.training:
            training.setdefault(names[id(child)], child)
            if end:
                child.training = False

    with ExitStack() as hooks:
        for child in hookable(module):
            hooks.callback(child.register_forward_pre_hook(note, prepend=True).remove)
            hooks.callback(child.register_forward_hook(note).remove)
        try:
            yield
        finally:
            for child, mode in modes:
                child.training = mode


class RandomState:
    """All random generators that a forward may draw from, as they were."""

    def __init__(self) -> None:
        self._torch = torch.get_rng_state()
        self._cuda = {index: torch.cuda.get_rng_state(index) for index in random_devices()}
        self._outside = outside_generators()

    def restore(self) -> None:
        """They go on from there again."""
        torch.set_rng_state(self._torch)
        for index, state in self._cuda.items():
            torch.cuda.set_rng_state(state, index)
        random.setstate(self._outside["Python's random"])
        np.random.set_state(_numpy(self._outside["numpy.random"]))  # noqa: NPY002  # what the model uses


def outside_generators() -> dict[str, Any]:
    """The states of the generators outside of PyTorch, by what users call them."""
    state: Any = np.random.get_state(legacy=True)  # noqa: NPY002  # what the model uses
    kind, keys, *rest = state
    return {"Python's random": random.getstate(), "numpy.random": (kind, keys.tobytes(), *rest)}


def _numpy(state: Any) -> Any:
    kind, keys, *rest = state
    return (kind, np.frombuffer(keys, dtype=np.uint32), *rest)


class CalledFunction(TorchFunctionMode):
    """Knows the function that the model called, by the name under which it is documented."""

    def __init__(self) -> None:
        super().__init__()
        self.name = ""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        before, self.name = self.name, self.name or resolve_name(func) or ""
        try:
            return func(*args, **(kwargs or {}))
        finally:
            self.name = before


class DrawWatch(TorchDispatchMode):  # type: ignore[no-untyped-call]  # PyTorch's __init_subclass__
    """Sees every operator that draws: some that could, attention with dropout 0, don't."""

    def __init__(self, drawn: Drawn, stack: ModuleStack, functions: CalledFunction) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._drawn, self._stack, self._functions = drawn, stack, functions

    def __torch_dispatch__(
        self, func: OpOverload, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if torch.Tag.nondeterministic_seeded not in func.tags:
            return func(*args, **kwargs)
        generators = random_generators(args, kwargs)
        before = [generator.get_state() for generator in generators]
        result = func(*args, **kwargs)
        if any(
            not torch.equal(generator.get_state(), state)
            for generator, state in zip(generators, before, strict=True)
        ):
            name = self._functions.name or str(func)
            self._drawn.draws[Draw(name, self._stack.path, source_line(START))] = None
        return result
