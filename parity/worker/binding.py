"""How named tensors reach a module's `forward`: by keyword where the names are its own, else by position."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from parity.worker.problems import Unable, listed

Tensors = Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class Binding:
    """Names of the tensors that are passed by position, and of those by keyword, in the forward's order."""

    positional: tuple[str, ...]
    keywords: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All names, in the order in which an exporter sees the tensors."""
        return self.positional + self.keywords

    def arguments(self, tensors: Tensors) -> tuple[tuple[torch.Tensor, ...], dict[str, torch.Tensor]]:
        """The arguments of the call."""
        return tuple(tensors[n] for n in self.positional), {n: tensors[n] for n in self.keywords}


def forward_parameters(module: torch.nn.Module) -> list[inspect.Parameter]:
    """The parameters of `forward` without `self`; any number of positional ones where it doesn't say."""
    try:
        return list(inspect.signature(module.forward).parameters.values())
    except (TypeError, ValueError):
        return [inspect.Parameter("args", inspect.Parameter.VAR_POSITIONAL)]


def positional_names(module: torch.nn.Module) -> list[str]:
    """Names of the parameters that can be passed by position."""
    return [p.name for p in forward_parameters(module) if p.kind in _POSITIONAL]


def bind(module: torch.nn.Module, names: Sequence[str], whose: str) -> Binding:
    """Finds how tensors of these names are passed.

    If each name is a parameter's, by keyword. If none is, by position in the order of `names`. If only some
    are, by position too, as long as that gives those to the parameters of their name.

    Args:
        module: whose `forward` is called.
        names: of the tensors, in the order of the ONNX file's inputs.
        whose: names the module in an error.

    Raises:
        Unable: ``specification``; the names fit neither way, are too many, or leave a parameter without.
    """
    parameters = forward_parameters(module)
    slots = [p.name for p in parameters if p.kind in _POSITIONAL]
    by_keyword = [p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY]
    if set(names) <= {*slots, *by_keyword}:
        binding = _by_name(names, slots, by_keyword)
    elif _takes_any_name(parameters):
        binding = Binding((), tuple(names))
    else:
        binding = bind_in_order(module, names, whose)
    filled = {*binding.keywords, *slots[: len(binding.positional)]}
    missing = [p.name for p in parameters if _is_required(p) and p.name not in filled]
    if missing:
        raise Unable(
            "specification",
            f"the forward of {whose} needs {listed(missing)}, the inputs are {listed(names)}",
            fix="name the inputs as the parameters of forward, or give one for each, in order",
        )
    return binding


def bind_in_order(module: torch.nn.Module, names: Sequence[str], whose: str) -> Binding:
    """Passes every tensor by position.

    Raises:
        Unable: ``specification``; there are too many, or one would be passed as another parameter than that
            of its name.
    """
    parameters = forward_parameters(module)
    slots = [p.name for p in parameters if p.kind in _POSITIONAL]
    known = [*slots, *(p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY)]
    takes_more = any(p.kind is inspect.Parameter.VAR_POSITIONAL for p in parameters)
    if len(names) > len(slots) and not takes_more:
        raise Unable(
            "specification",
            f"the forward of {whose} takes {listed(slots)}, the inputs are {listed(names)}",
            fix="give as many inputs as forward has parameters",
        )
    for index, name in enumerate(names):
        taker = slots[index] if index < len(slots) else None
        if name in known and name != taker:
            raise Unable(
                "specification",
                f"by position the input {name!r} would be passed to {whose} as {taker!r}, and not as the "
                f"parameter {name!r} of its forward",
                fix=f"name all inputs as the parameters of forward ({listed(known)}), or none",
            )
    return Binding(tuple(names))


def _by_name(names: Sequence[str], slots: list[str], by_keyword: list[str]) -> Binding:
    """By position up to the first parameter that is left out: exporters name inputs best so."""
    given = 0
    while given < len(slots) and slots[given] in names:
        given += 1
    return Binding(tuple(slots[:given]), tuple(name for name in slots[given:] + by_keyword if name in names))


def _takes_any_name(parameters: list[inspect.Parameter]) -> bool:
    """``forward(self, **inputs)``; not where ``*args`` leaves it open."""
    kinds = {p.kind for p in parameters}
    return inspect.Parameter.VAR_KEYWORD in kinds and not kinds & {
        inspect.Parameter.VAR_POSITIONAL,
        *_POSITIONAL,
    }


def _is_required(parameter: inspect.Parameter) -> bool:
    return parameter.default is parameter.empty and parameter.kind not in _VARIADIC


_POSITIONAL = frozenset({inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD})
_VARIADIC = frozenset({inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD})
