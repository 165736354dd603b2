"""Reading a checkpoint's file, and saying why one can't be read."""

from __future__ import annotations

import pickle
import re
import warnings
import zipfile
from pathlib import Path

import torch

from parity.worker.bystanders import standing_in
from parity.worker.problems import Unable


def read_checkpoint(path: Path) -> object:
    """The contents of the file. Nothing of it is executed: weights only, or safetensors.

    Raises:
        Unable: it is not there, can't be read, or holds more than weights.
    """
    if not path.is_file():
        raise Unable(
            "specification", f"there is no checkpoint {path}", fix="paths are relative to the specification"
        )
    if path.stat().st_size == 0:
        raise Unable("model", f"the checkpoint {path} is empty", fix="save or copy it again")
    return _read_safetensors(path) if path.suffix == ".safetensors" else _read_pickled(path)


def _read_safetensors(path: Path) -> object:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise Unable(
            "model",
            f"{path.name} is no safetensors file, or it is damaged",
            fix="copy it again whole; a file of torch.save must end in .pth, .pt or .ckpt",
            detail=str(error),
        ) from error


def _read_pickled(path: Path) -> object:
    zipped = zipfile.is_zipfile(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of strange formats, which the errors below are about
            # Mapped, a checkpoint of any size costs no memory but the module's; the old format has no map.
            with standing_in():
                return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except Exception as error:  # a damaged pickle raises anything at all
        raise _unreadable(path, zipped, error) from error


def _unreadable(path: Path, zipped: bool, error: Exception) -> Unable:
    text = str(error)
    with path.open("rb") as file:
        start = file.read(2)
    detail = text
    if isinstance(error, pickle.UnpicklingError):
        # PyTorch's own text recommends weights_only=False, which is what a bomb is waiting for.
        detail = ""
        refused = re.search(r"GLOBAL ([\w.]+)", text)
        problem = (
            f"holds more than weights{f' ({refused[1]})' if refused else ''}: refused, nothing of it was run"
        )
        fix = "save model.state_dict() alone with torch.save, or use .safetensors"
    elif "TorchScript" in text:
        problem, fix = "is a TorchScript archive, no checkpoint", "save model.state_dict() with torch.save"
    elif start == b"PK" and not zipped:
        problem, fix = "is truncated: its end is missing", "copy it again whole"
    else:
        problem, fix = (
            "is no PyTorch checkpoint, or is damaged",
            "copy it again whole, or save it with torch.save",
        )
    return Unable("model", f"the checkpoint {path.name} {problem}", fix=fix, detail=detail)
