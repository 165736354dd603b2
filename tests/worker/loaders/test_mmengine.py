from __future__ import annotations

import gc
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.loaders import copy_example
from support.reference import unable
from torch import nn

from parity.records.jobs import ModelJob
from parity.worker.loaders import Built
from parity.worker.loaders.mmengine import load

pytestmark = pytest.mark.filterwarnings(  # of mmengine itself
    "ignore:`torch.jit:DeprecationWarning", "ignore:unclosed file:ResourceWarning"
)


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    """A config that raises leaves mmengine's temporary file open; here, so that no other test meets it."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    copy_example(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def built(root: Path, config: Any = "configs/lidar.py", **fields: Any) -> Built:
    path = str(root / config) if isinstance(config, str) else config
    return load(ModelJob(loader="mmengine", config=path, **fields), root)


def test_bases_imports_options_and_parts(root: Path) -> None:
    made = built(root, args={"model.head.branches.vel": 2}, target="head")
    head = made.finish(made.module)
    assert set(head.branches) == {"heatmap", "reg", "height", "vel"}
    assert any("random" in note for note in made.notes)


def test_a_callable_is_given_the_model(root: Path) -> None:
    made = built(root, target="parts.py:BackboneHead")
    part = made.finish(made.module)
    assert isinstance(part, nn.Module)
    assert part.head is made.module.head
    (root / "parts.py").write_text("def nothing(model): pass\n")
    wrong = built(root, target="parts.py:nothing")
    error = unable(lambda: wrong.finish(wrong.module))
    assert "nothing" in error.problem


def test_a_config_in_place(root: Path) -> None:
    registry = {"imports": ["lidar"], "allow_failed_imports": False}
    model = {"type": "PillarFeatureNet", "in_channels": 5, "channels": 4}
    made = built(root, {"default_scope": "lidar", "custom_imports": registry, "model": model})
    assert made.module.linear.out_features == 4


WRONG = {
    "no-model": ("x = 1\n", "specification", "no 'model' with a 'type', but the keys", "type"),
    "unregistered": ("model = dict(type='PillarDetectr')\n", "user-code", "PillarDetectr", "custom_imports"),
    "raises": ("raise RuntimeError('no such split')\n", "user-code", "no such split", ""),
    "import": ("custom_imports = dict(imports=['absent'])\n", "user-code", "absent", ""),
    "build": ("model = dict(type='PillarDetector')\n", "user-code", "voxel_encoder", ""),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_goes_wrong_is_said(root: Path, name: str) -> None:
    text, reason, said, fix = WRONG[name]
    (root / "configs" / "own.py").write_text(f"default_scope = 'lidar'\n{text}")
    error = unable(lambda: built(root, "configs/own.py"))
    assert error.reason == reason
    assert said in error.problem
    assert fix in error.fix
