"""What the diagnosis asks of a runtime: sessions on files and on models in memory, opened in many ways."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from onnx import ModelProto

from parity.artifacts import Array
from parity.records.jobs import Optimization

LEVELS: tuple[Optimization, ...] = ("disable_all", "basic", "extended", "layout", "all")
Run = Callable[[Mapping[str, Array]], Mapping[str, Array]]
"""Inputs by name -> every output by name; raises `Unable` when the runtime fails."""


@dataclass(frozen=True)
class How:
    """How a session is opened, as far as it is not the user's own way.

    Args:
        optimization: the level of graph optimization; None for the user's.
        disabled: graph optimizers to leave out, besides those that the user disables.
        on_cpu: on the CPU provider instead of the user's device.
        provider_options: of the device's provider, above the user's.
    """

    optimization: Optimization | None = None
    disabled: frozenset[str] = frozenset()
    on_cpu: bool = False
    provider_options: tuple[tuple[str, str], ...] = ()


PRODUCTION = How()
UNOPTIMIZED = How(optimization="disable_all")


class Backend(Protocol):
    """A runtime with the user's settings. All methods raise `Unable` for what it can't do."""

    @property
    def device(self) -> str:
        """``cpu``, ``cuda:0``."""

    @property
    def optimization(self) -> Optimization:
        """The user's level of graph optimization."""

    def open(self, model: str | ModelProto, how: How = PRODUCTION) -> Run:
        """A session on a file, or on a model in memory with all its data."""

    def optimized(self, path: str, how: How = PRODUCTION) -> ModelProto:
        """The graph that a session on this file runs."""

    def on_other_providers(self, path: str) -> Mapping[str, str]:
        """Nodes, by name, that the device's own provider does not run, and the provider that does."""


def epsilon(dtype: np.dtype[np.generic]) -> float | None:
    """The distance from 1 to the next number of a float type; None for what is no float that we can judge."""
    return _EPSILON.get(dtype.name)


_EPSILON = {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}
