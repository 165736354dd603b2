from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from support.image import OWNER, ROOT, Image, build, give_to_caller

EXAMPLE = ROOT / "examples" / "centerpoint"


@pytest.fixture(scope="session")
def image() -> Image:
    return build()


@pytest.fixture(scope="session")
def workspace(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CenterPoint as its makers checked it out: of another user, who lets everyone read."""
    if not (EXAMPLE / "build" / "small" / "prepared.json").exists():
        pytest.fail("CenterPoint is not prepared: python examples/centerpoint/prepare.py")
    place = tmp_path_factory.mktemp("container") / "centerpoint"
    shutil.copytree(EXAMPLE, place, ignore=shutil.ignore_patterns("__pycache__", "parity-report"))
    for path in (place, *place.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
        if os.getuid() == 0:
            os.chown(path, OWNER, OWNER)
    for folder in place.parents:  # pytest's own folders are for one user alone
        if folder == Path("/tmp"):
            break
        folder.chmod(0o755)
    return place


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    """An empty folder that the caller made."""
    folder = tmp_path / "reports"
    folder.mkdir()
    give_to_caller(folder)
    return folder
