"""Specification files for tests: a sound one that any part of can be replaced, and what is wrong with one."""

from __future__ import annotations

from pathlib import Path

import pytest

from parity.errors import SpecError, SpecErrors
from parity.spec.loading import LoadedSpec, load_spec

SOUND = """\
version: 1
model: {target: model.py:build}
onnx: model.onnx
inputs:
  tensors:
    x: {shape: [2, 4]}
"""


class SpecFolder:
    """A folder with the files that a specification needs; they are empty, as nothing runs."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in ("model.py", "model.onnx", "data.py", "pipeline.py", "weights.pth", "config.yaml"):
            (root / name).touch()

    def write(self, text: str, name: str = "suite.yml") -> Path:
        """Writes a specification."""
        path = self.root / name
        path.write_text(text, encoding="utf-8")
        return path

    def load(self, text: str) -> LoadedSpec:
        """Loads a specification of this text."""
        return load_spec(str(self.write(text)))

    def errors(self, text: str) -> list[SpecError]:
        """The errors of a specification of this text; there must be some."""
        return errors_of(self.write(text))


def errors_of(path: Path) -> list[SpecError]:
    """The errors of a specification file; there must be some."""
    with pytest.raises(SpecError) as raised:
        load_spec(str(path))
    error = raised.value
    return list(error.errors) if isinstance(error, SpecErrors) else [error]


def place(error: SpecError) -> tuple[int, int]:
    """Line and column of an error."""
    _, line, column = error.at.rsplit(":", 2)
    return int(line), int(column)
