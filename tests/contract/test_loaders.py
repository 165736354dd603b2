"""Every model loader: the same module each time, ready for the gate, and an error that can be read."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from support.loaders import PROJECTS, LoaderProject
from support.reference import unable
from torch import nn

from parity.records.jobs import ModelJob
from parity.registry import LOADERS
from parity.worker.binding import bind
from parity.worker.flattening import flatten
from parity.worker.modules import build_module, enforce_eval, move
from parity.worker.targets import prefer_imports_from

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:torch.jit")  # by its users' own choice


@pytest.fixture(params=LOADERS)
def loader(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def project(tmp_path: Path, loader: str, monkeypatch: pytest.MonkeyPatch) -> LoaderProject:
    monkeypatch.syspath_prepend(str(tmp_path))
    return PROJECTS[loader](tmp_path)


def job(project: LoaderProject, root: Path, **changes: object) -> ModelJob:
    """As planning makes it: paths are absolute."""
    fields = {"loader": "python", **project.model, **changes}
    for key in ("config", "checkpoint"):
        if isinstance(fields.get(key), str):
            fields[key] = str(root / str(fields[key]))
    return ModelJob(**fields)


def outputs(module: nn.Module, project: LoaderProject) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    tensors = {
        name: torch.randint(0, 8, one["shape"], generator=generator)
        if one["dtype"] == "int64"
        else torch.randn(one["shape"], generator=generator)
        for name, one in project.tensors.items()
    }
    args, kwargs = bind(module, list(tensors), "the model").arguments(tensors)
    with torch.no_grad():
        leaves = flatten(module(*args, **kwargs)).values()
    return [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]


def test_every_loader_has_a_project_here() -> None:
    assert set(PROJECTS) == set(LOADERS)


def test_it_builds_the_same_module_each_time(project: LoaderProject, tmp_path: Path) -> None:
    prefer_imports_from(tmp_path)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    made = []
    for _ in range(2):
        module, notes = build_module(job(project, tmp_path), tmp_path)
        assert isinstance(module, nn.Module)
        assert not any("random" in note for note in notes)
        enforce_eval(module, "the model")
        assert move(module, torch.device("cpu"), "the model") == ()
        assert list(module.parameters())
        made.append(outputs(module, project))
    assert made[0]
    assert all(torch.equal(a, b) for a, b in zip(*made, strict=True))
    if project.model.get("loader", "python") != "python":  # whose function may draw what it likes
        assert torch.equal(torch.get_rng_state(), before)


def test_a_spoilt_file_is_an_error_that_can_be_read(project: LoaderProject, tmp_path: Path) -> None:
    prefer_imports_from(tmp_path)
    project.spoil(tmp_path)
    error = unable(lambda: build_module(job(project, tmp_path), tmp_path))
    assert error.reason == "model"
    assert project.said in error.problem
    assert error.fix


def test_without_its_file_it_is_the_specification_that_is_wrong(
    project: LoaderProject, tmp_path: Path, loader: str
) -> None:
    key = "target" if loader in {"python", "torchscript", "exported-program"} else "config"
    error = unable(lambda: build_module(job(project, tmp_path, **{key: None}), tmp_path))
    assert error.reason == "specification"
    assert key in error.problem + error.fix
