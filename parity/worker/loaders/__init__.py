"""Building the reference module. One module for each loader; `parity.registry.LOADERS` names them.

A package of yours adds a loader with an entry point of the group `onnx_parity.loaders`: it names a `Loader`,
which may return a module or `Built`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch

from parity.records.jobs import ModelJob


def _as_it_is(module: torch.nn.Module) -> torch.nn.Module:
    return module


@dataclass(frozen=True)
class Built:
    """A module that still waits for its checkpoint.

    `finish` makes of it what is compared, once its weights are loaded: a part of it, or a wrapper around it.
    `notes` are what a user should know of how it was built.
    """

    module: torch.nn.Module
    finish: Callable[[torch.nn.Module], torch.nn.Module] = _as_it_is
    notes: tuple[str, ...] = ()


class Loader(Protocol):
    """Builds a module from a job; its checkpoint is loaded by the caller, alike for every loader."""

    def __call__(self, job: ModelJob, base_dir: Path) -> torch.nn.Module | Built:
        """Raises `parity.worker.problems.Unable` when it can't.

        Args:
            job: what the specification says under ``model:``.
            base_dir: the specification's folder, absolute.
        """
        ...
