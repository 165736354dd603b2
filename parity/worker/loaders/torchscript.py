"""The ``torchscript`` loader: an archive that `torch.jit.save` wrote, code and weights."""

from __future__ import annotations

import inspect
import warnings
from pathlib import Path
from typing import Any

import torch

from parity.records.jobs import ModelJob
from parity.worker.loaders import Built
from parity.worker.loaders.common import archive
from parity.worker.problems import Unable


class TorchScriptModule(torch.nn.Module):
    """A TorchScript program as a module like others: it takes hooks, and says what its forward takes."""

    script: torch.jit.ScriptModule

    def __init__(self, script: torch.jit.ScriptModule) -> None:
        super().__init__()
        self.script = script
        # On the instance: inspect.signature reads it from there.
        forward = _forward(script)
        forward.__signature__ = _signature(script)
        self.forward = forward


def load(job: ModelJob, base_dir: Path) -> Built:
    """Loads the archive that ``target`` or ``config`` names; on the CPU.

    Raises:
        Unable: there is no such file, or it is no TorchScript archive.
    """
    path = archive(job, base_dir)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of TorchScript as a whole
            script = torch.jit.load(str(path), map_location="cpu")  # type: ignore[no-untyped-call]
    except (RuntimeError, ValueError, OSError) as error:
        raise Unable(
            "model",
            f"{path.name} is no TorchScript archive, or it is damaged",
            fix="save the module with torch.jit.save; a file of torch.export.save has "
            "`loader: exported-program`, a state dict is a 'checkpoint'",
            detail=str(error),
        ) from error
    return Built(script, _finish)


def _finish(module: torch.nn.Module) -> torch.nn.Module:
    assert isinstance(module, torch.jit.ScriptModule)
    return TorchScriptModule(module)


def _forward(script: torch.jit.ScriptModule) -> Any:
    def forward(*args: Any, **kwargs: Any) -> Any:
        return script(*args, **kwargs)

    return forward


def _signature(script: torch.jit.ScriptModule) -> inspect.Signature:
    """The forward's parameters as TorchScript's own schema has them."""
    schema = script.forward.schema  # type: ignore[attr-defined]
    return inspect.Signature(
        [
            inspect.Parameter(
                argument.name,
                inspect.Parameter.POSITIONAL_OR_KEYWORD,  # an archive knows no other kind
                default=argument.default_value if argument.has_default_value() else inspect.Parameter.empty,
            )
            for argument in schema.arguments[1:]  # the first is self
        ]
    )
