"""The ``exported-program`` loader: a .pt2 file that `torch.export.save` wrote, graph and weights."""

from __future__ import annotations

import zipfile
from pathlib import Path

import torch

from parity.records.jobs import ModelJob
from parity.worker.loaders import Built
from parity.worker.loaders.common import archive
from parity.worker.problems import Unable

# Operators that compute otherwise in training -> the argument that says so.
_MODES = {
    "aten.dropout.default": "train",
    "aten.feature_dropout.default": "train",
    "aten.batch_norm.default": "training",
}
_SHOWN = 5


def load(job: ModelJob, base_dir: Path) -> Built:
    """Loads the program that ``target`` or ``config`` names, as a module.

    Raises:
        Unable: there is no such file, or it is no exported program.
    """
    path = archive(job, base_dir)
    if not zipfile.is_zipfile(path):
        raise _unreadable(path, "")
    try:
        program = torch.export.load(str(path))
    except Exception as error:  # a damaged archive raises anything at all
        raise _unreadable(path, str(error)) from error
    module = program.module()
    # An exported graph has one mode and refuses to be asked for any; the gate asks every module for eval.
    for name in ("train", "eval"):
        vars(module).pop(name, None)
    return Built(module, notes=_modes(program))


def _unreadable(path: Path, detail: str) -> Unable:
    return Unable(
        "model",
        f"{path.name} is no exported program, or it is damaged, or another PyTorch wrote it",
        fix="save it with torch.export.save, by the PyTorch that is used here",
        detail=detail,
    )


def _modes(program: torch.export.ExportedProgram) -> tuple[str, ...]:
    """A note when the graph was captured in train mode: eval() can't take that back."""
    found = []
    for node in program.graph.nodes:
        mode = _MODES.get(str(node.target))
        if mode is None:
            continue
        names = [argument.name for argument in node.target._schema.arguments]
        arguments = dict(zip(names, node.args, strict=False)) | node.kwargs
        if arguments.get(mode) is True:
            found.append(node.name)
    if not found:
        return ()
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return (
        f"the program was exported in train mode ({', '.join(found[:_SHOWN])}{more}): call eval() before "
        "torch.export.export",
    )
