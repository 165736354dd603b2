"""Where the marks of a plot are: sizes on a logarithmic scale, in per cent of the width or in its own units.

Legs of a budget lie several powers of ten apart: on a linear scale all but one would vanish.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from parity.records.diagnosis import Budget, ModuleErrors
from parity.reports import budget, figures
from parity.reports.modules import adding

_MOST_DECADES = 9
_WHOLE = "(the component)"
_LEAST_WIDTH = 1.0  # per cent: a bar that is there is seen
_WIDTH, _HEIGHT = 900.0, 260.0  # of the plot of modules, in its own units
_LEFT, _RIGHT, _TOP, _BOTTOM = 56.0, 12.0, 14.0, 30.0


@dataclass(frozen=True)
class Scale:
    """Powers of ten from `low` to `high`."""

    low: int
    high: int

    @classmethod
    def over(cls, values: Iterable[float]) -> Scale | None:
        """The scale that holds the values above 0; None where there is none."""
        known = [math.log10(value) for value in values if 0 < value < math.inf]
        if not known:
            return None
        high = math.floor(max(known)) + 1
        return cls(max(math.floor(min(known)), high - _MOST_DECADES), high)

    def part(self, value: float) -> float:
        """Where a value lies, 0 to 1."""
        if not value > 0:
            return 0.0
        return min(1.0, max(0.0, (math.log10(value) - self.low) / (self.high - self.low)))

    @property
    def decades(self) -> list[int]:
        return list(range(self.low, self.high + 1))


@dataclass(frozen=True)
class Bar:
    """One leg; `width` and places are per cent."""

    name: str
    kind: str
    text: str
    width: float
    share: str


@dataclass(frozen=True)
class BudgetPlot:
    """The legs of a budget, and where the noise floor and the lines of the powers of ten are."""

    bars: tuple[Bar, ...]
    lines: tuple[float, ...]
    noise: float | None
    noise_text: str
    low: str
    high: str


def of_budget(found: Budget) -> BudgetPlot | None:
    """None where no leg is known."""
    legs = budget.legs(found)
    if not legs:
        return None
    noise = found.noise_floor
    scale = Scale.over([*(leg.size for leg in legs), *([noise] if noise is not None else [])])
    scale = scale or Scale(-1, 0)
    return BudgetPlot(
        bars=tuple(
            Bar(
                name=leg.name,
                kind=leg.name.split()[0],
                text=figures.number(leg.size),
                width=max(100 * scale.part(leg.size), _LEAST_WIDTH if leg.size > 0 else 0.0),
                share=leg.share,
            )
            for leg in legs
        ),
        lines=tuple(100 * scale.part(10.0**power) for power in scale.decades[1:-1]),
        noise=100 * scale.part(noise) if noise else None,
        noise_text=figures.number(noise),
        low=f"1e{scale.low}",
        high=f"1e{scale.high}",
    )


@dataclass(frozen=True)
class Stem:
    """One module: what it adds, and what came in with its inputs, from the bottom of the plot."""

    x: float
    local: float  # y of its mark
    inherited: float | None
    title: str
    is_worst: bool


@dataclass(frozen=True)
class ModulePlot:
    """Errors of the modules of a component in the order of the forward."""

    width: float
    height: float
    left: float
    right: float
    floor: float
    stems: tuple[Stem, ...]
    lines: tuple[tuple[float, str], ...]
    worst: Stem
    label: str
    label_anchor: str
    bar: float  # width of a stem


def of_modules(modules: Sequence[ModuleErrors]) -> ModulePlot | None:
    """None where no module adds an error. One that only holds others is left to them."""
    followed = [module for module in adding(modules) if module.local is not None and module.local >= 0]
    sizes = [value for m in followed for value in (m.local, m.inherited) if value is not None]
    scale, peak = Scale.over(sizes), max((m.local or 0.0 for m in followed), default=0.0)
    if scale is None or not 0 < peak < math.inf:
        return None
    floor, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    step = (right - _LEFT) / len(followed)
    stems = [
        Stem(
            x=_LEFT + (i + 0.5) * step,
            local=_y(scale, module.local or 0.0),
            inherited=None if module.inherited is None else _y(scale, module.inherited),
            title=_title(module),
            is_worst=module.local == peak,
        )
        for i, module in enumerate(followed)
    ]
    worst = next(i for i, stem in enumerate(stems) if stem.is_worst)
    return ModulePlot(
        width=_WIDTH,
        height=_HEIGHT,
        left=_LEFT,
        right=right,
        floor=floor,
        stems=tuple(stems),
        lines=tuple((_y(scale, 10.0**power), f"1e{power}") for power in thinned(scale.decades)),
        worst=stems[worst],
        label=followed[worst].module or _WHOLE,
        label_anchor="start" if worst < len(stems) / 2 else "end",
        bar=max(0.6, min(10.0, 0.6 * step)),
    )


def _title(module: ModuleErrors) -> str:
    adds, inherits = figures.number(module.local), figures.number(module.inherited)
    return f"{module.module or _WHOLE} ({module.type}): adds {adds}, inherits {inherits}"


def thinned(powers: list[int]) -> list[int]:
    """At most about six of them: there is no room for more labels."""
    return powers if len(powers) <= 6 else powers[:: 1 + len(powers) // 6]


def _y(scale: Scale, value: float) -> float:
    return _HEIGHT - _BOTTOM - scale.part(value) * (_HEIGHT - _BOTTOM - _TOP)
