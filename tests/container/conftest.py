from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import yaml
from support.image import CALLER, OWNER, ROOT, Image, build

EXAMPLE = ROOT / "examples" / "centerpoint"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.container)


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


def give_to_caller(folder: Path) -> None:
    """Lets the container's user write there, also where the tests are not root's."""
    if os.getuid() == 0:
        os.chown(folder, CALLER, CALLER)
    else:
        folder.chmod(0o777)


def write_sound_spec(workspace: Path) -> None:
    """sound.yml: parity.yml on ONNX files that are there already, so that nothing is exported."""
    spec = yaml.safe_load((workspace / "parity.yml").read_text())
    for component in spec["components"].values():
        component["onnx"] = component["onnx"]["path"]
    (workspace / "sound.yml").write_text(yaml.safe_dump(spec, sort_keys=False))
