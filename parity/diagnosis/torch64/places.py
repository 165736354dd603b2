"""Where an operator was called: the module, by hooks, and the source line, from the Python stack."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import nn

# PyTorch's own frames, this project's, and generated code are no place that a user knows.
_SKIPPED = (f"{Path(torch.__file__).parent}{os.sep}", f"{Path(__file__).parents[2]}{os.sep}", "<")
_START = str(Path(__file__).with_name("evaluation.py"))  # frames outside of it are not the model's


class ModuleStack:
    """The path of the module whose forward runs now; empty in the root module and outside of any."""

    def __init__(self, root: nn.Module) -> None:
        self._root = root
        # `torch.compile` puts a module around the one that it compiles, under this name.
        self._paths = {
            id(module): ".".join(part for part in name.split(".") if part != "_orig_mod")
            for name, module in root.named_modules()
        }
        self._stack: list[str] = []

    @property
    def path(self) -> str:
        return self._stack[-1] if self._stack else ""

    @contextmanager
    def following(self) -> Iterator[None]:
        """Follows every call of a module of the tree while it is entered.

        A module that is not in the tree counts as part of the one that calls it; one with two names has the
        first.
        """
        with ExitStack() as hooks:
            for module in hookable(self._root):
                enter = module.register_forward_pre_hook(self._enter, prepend=True)
                hooks.callback(enter.remove)
                leave = module.register_forward_hook(self._leave, always_call=True)
                hooks.callback(leave.remove)
            yield

    def _enter(self, module: nn.Module, _args: Any) -> None:
        self._stack.append(self._paths[id(module)])

    def _leave(self, _module: nn.Module, _args: Any, _result: Any) -> None:
        self._stack.pop()


def hookable(root: nn.Module) -> Iterator[nn.Module]:
    """The modules of a tree that take hooks. What TorchScript runs takes none: it counts as one module."""
    return (module for module in root.modules() if not isinstance(module, torch.jit.ScriptModule))


def source_line(start: str = _START) -> str:
    """``model.py:31``: the innermost frame on the stack that belongs to the model's own code; empty if none.

    The file is named from its package's folder on: ``mmdet/models/necks/fpn.py:95``. Frames outside of the
    file `start`, which called the model, are not looked at.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename != start:
        name = _shown(frame.f_code.co_filename)
        if name is not None:
            return f"{name}:{frame.f_lineno}"
        frame = frame.f_back
    return ""


@lru_cache(maxsize=4096)
def _shown(filename: str) -> str | None:
    """How a file is called in reports, None for one that is skipped."""
    if filename.startswith(_SKIPPED):
        return None
    path = Path(filename)
    start = path.parent
    while (start / "__init__.py").is_file() and start != start.parent:
        start = start.parent
    return path.relative_to(start).as_posix()
