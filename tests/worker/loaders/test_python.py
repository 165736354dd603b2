from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.reference import HEAD, unable
from torch import nn

from parity.records.jobs import ModelJob
from parity.worker.loaders.python import load

SOURCE = """
class Net(nn.Linear):
    def __init__(self, width, bias=True):
        super().__init__(width, 2, bias=bias)

def build(width=3, **options):
    net = Net(width)
    net.options = options
    return net

def configured(config, classes: int = 1):
    net = Net(2)
    net.config = config
    return net

ready = Net(2)
def nothing(): pass
def state(): return ready.state_dict()
def wrong(): return Net("three")
"""


def made(root: Path, target: str, **fields: Any) -> nn.Module:
    (root / "model.py").write_text(HEAD + SOURCE)
    return load(ModelJob(loader="python", target=f"model.py:{target}", **fields), root)


def test_a_function_or_a_class_is_called_with_the_arguments(tmp_path: Path) -> None:
    assert made(tmp_path, "build", args={"width": 5, "depth": 2}).options == {"depth": 2}
    assert made(tmp_path, "Net", args={"width": 4, "bias": False}).in_features == 4


@pytest.mark.parametrize(
    ("config", "seen"), [({"a": [1]}, {"a": [1]}), ("/configs/pillar.yaml", Path("/configs/pillar.yaml"))]
)
def test_a_config_is_a_mapping_or_a_path(tmp_path: Path, config: Any, seen: Any) -> None:
    assert made(tmp_path, "configured", config=config).config == seen


@pytest.mark.parametrize(
    ("target", "fields", "reason", "said", "fix"),
    [
        ("Net", {}, "specification", "needs 'width'", "'args'"),
        ("configured", {}, "specification", "needs 'config'", "'config'"),
        ("Net", {"args": {"witdh": 3}}, "specification", "no argument 'witdh'", "did you mean 'width'?"),
        ("Net", {"config": {}, "args": {"width": 3}}, "specification", "no argument 'config'", ""),
        ("configured", {"config": {}, "args": {"config": 1}}, "specification", "given twice", "'args'"),
        ("ready", {}, "specification", "a module already built", "a function"),
        ("nothing", {}, "model", "returned None, no torch.nn.Module", "return the module"),
        ("state", {}, "model", "returned an object of type OrderedDict", "return the module"),
        ("wrong", {}, "user-code", "TypeError while building the model with model.py:wrong", ""),
    ],
)
def test_what_can_not_be_built_is_said(
    tmp_path: Path, target: str, fields: dict[str, Any], reason: str, said: str, fix: str
) -> None:
    error = unable(lambda: made(tmp_path, target, **fields))

    assert error.reason == reason
    assert said in error.problem
    assert fix in error.fix
