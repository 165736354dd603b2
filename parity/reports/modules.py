"""The table of modules: how an error grows on its way through a component, around where it is made.

The rows stay in the order of the forward. What is left out is counted, with the most that any of it adds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from parity.records.diagnosis import ModuleErrors

from . import figures

MEANING = (
    "Root mean square errors in float64, relative to each module's own result. Inherited came in with the "
    "inputs, local is what the module adds."
)

Where = Literal["before", "between", "after"]

_SUSPECT = 0.1  # of the greatest local error: shown wherever it is
_SOUND = 0.01  # of it: not worth a word
_ADDS = 10.0  # times the worst inside of it: what a module adds by its own operators
_BLOCKS = 8  # characters of a whole bar


@dataclass(frozen=True)
class Gap:
    """Modules that are left out, and where: before the rows that are shown, between two, or after."""

    modules: tuple[ModuleErrors, ...]
    where: Where
    peak: float  # greatest local error of all modules

    @property
    def short(self) -> str:
        """``and 41 sound modules before``; sound if each of them was followed and adds next to nothing."""
        sound = all(m.local is not None and m.local <= _SOUND * self.peak for m in self.modules)
        noun = "sound module" if sound else "module"
        return f"and {figures.counted(len(self.modules), noun)} {self.where}"

    def __str__(self) -> str:
        """``and 41 sound modules before, none adds more than 2.10e-7``."""
        known = [module.local for module in self.modules if module.local is not None]
        most = f", none adds more than {figures.number(max(known))}" if known else ""
        lost = len(self.modules) - len(known)
        return f"{self.short}{most}" + (f", {lost:,} could not be followed" if lost else "")


@dataclass(frozen=True)
class Row:
    """One module; the bar is its local error beside the greatest, in blocks."""

    module: ModuleErrors
    peak: float

    @property
    def bar(self) -> str:
        return "▇" * round(_BLOCKS * (max(self.module.local or 0.0, 0.0) / self.peak))


def around_the_worst(modules: Sequence[ModuleErrors], most: int) -> list[Row | Gap]:
    """At most `most` rows, and what is left out between them; empty where no module adds any error.

    The worst first, up to half of the room, then what is nearest to the very worst. A module that only holds
    others is left to them.
    """
    modules = adding(modules)
    local = {place: module.local for place, module in enumerate(modules) if module.local}
    if not local or not 0 < max(local.values()) < float("inf"):
        return []
    ranked = sorted(local, key=lambda place: -local[place])
    worst, peak = ranked[0], local[ranked[0]]
    chosen = [place for place in ranked if local[place] >= _SUSPECT * peak][: max(1, most // 2)]
    nearest = sorted(range(len(modules)), key=lambda place: abs(place - worst))
    chosen += [place for place in nearest if place not in chosen][: most - len(chosen)]
    found: list[Row | Gap] = []
    last = -1
    for place in [*sorted(chosen), len(modules)]:
        if left_out := tuple(modules[last + 1 : place]):
            found.append(Gap(left_out, _where(last, place == len(modules)), peak))
        if place < len(modules):
            found.append(Row(modules[place], peak))
        last = place
    return found


def adding(modules: Sequence[ModuleErrors]) -> list[ModuleErrors]:
    """Modules without those whose error one inside of them adds."""
    worst_inside: dict[str, float] = {}
    for module in modules:
        path = module.module
        while path:
            path = path.rpartition(".")[0]
            worst_inside[path] = max(worst_inside.get(path, 0.0), module.local or 0.0)
    return [
        module
        for module in modules
        if module.module not in worst_inside or (module.local or 0.0) > _ADDS * worst_inside[module.module]
    ]


def _where(last: int, ends: bool) -> Where:
    if last < 0:
        return "before"
    return "after" if ends else "between"
