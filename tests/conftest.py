from __future__ import annotations

from pathlib import Path

import pytest
from support.specs import SpecFolder


@pytest.fixture
def folder(tmp_path: Path) -> SpecFolder:
    """An empty project."""
    return SpecFolder(tmp_path)
