"""What trainers save beside the weights: loggers, histories, settings. The gate has no use for any of it.

`torch.load(weights_only=True)` refuses a file that names any class or function but its own few. Those below
hold plain data, and a checkpoint of their trainer can't be read without them. Each is replaced with a
stand-in that takes anything and does nothing: nothing that the file names is imported, let alone called.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import torch

_ARRAYS = ("multiarray._reconstruct", "multiarray.scalar")
_NAMES = (
    # NumPy: best scores, learning rates, histories.
    "numpy.dtype",
    "numpy.ndarray",
    *(f"{core}.{name}" for core in ("numpy.core", "numpy._core") for name in _ARRAYS),
    # mmengine's message hub, and the methods that its history keeps by name.
    "mmengine.logging.history_buffer.HistoryBuffer",
    "builtins.getattr",
    # Hyper-parameters of Lightning and of scripts.
    "lightning.fabric.utilities.data.AttributeDict",
    "lightning_fabric.utilities.data.AttributeDict",
    "pytorch_lightning.utilities.parsing.AttributeDict",
    "argparse.Namespace",
    "pathlib.Path",
    "pathlib.PosixPath",
    "pathlib.PurePosixPath",
    "pathlib.WindowsPath",
    "omegaconf.base.ContainerMetadata",
    "omegaconf.base.Metadata",
    "omegaconf.dictconfig.DictConfig",
    "omegaconf.listconfig.ListConfig",
    "omegaconf.nodes.AnyNode",
    "typing.Any",
)


class NotRead(dict[Any, Any]):
    """Stands in for any of them: takes what they are made from and filled with, and keeps none of it."""

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        super().__init__()

    def __setstate__(self, _state: Any) -> None:
        pass

    def __setitem__(self, _key: Any, _value: Any) -> None:
        pass


def standing_in() -> AbstractContextManager[None]:
    """Inside, `torch.load(weights_only=True)` reads what is named above as stand-ins."""
    stand_ins: list[Any] = [(NotRead, name) for name in _NAMES]
    context: AbstractContextManager[None] = torch.serialization.safe_globals(stand_ins)
    return context
