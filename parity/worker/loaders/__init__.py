"""Building the reference module. One module for each loader; `parity.registry.LOADERS` names them."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import torch

from parity.records.jobs import ModelJob


class Loader(Protocol):
    """Builds a module from a job; its checkpoint is loaded by the caller, alike for every loader."""

    def __call__(self, job: ModelJob, base_dir: Path) -> torch.nn.Module:
        """Raises `parity.worker.problems.Unable` when it can't.

        Args:
            job: what the specification says under ``model:``.
            base_dir: the specification's folder, absolute.
        """
        ...
