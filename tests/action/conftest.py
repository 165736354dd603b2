"""A workspace with a small model, and the fake docker on the PATH."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from support.composite import REPOSITORY, Composite
from support.projects import Project

IMAGE = "ghcr.io/org/onnx-parity-action:cpu"


@dataclass
class Bench:
    """A workspace, a folder for the runner's files, and what docker was asked."""

    project: Project
    temporary: Path
    docker_log: Path
    environ: dict[str, str]

    def action(self, *, job: dict[str, Any] | None = None, **environ: str) -> Composite:
        return Composite(self.project.root, self.temporary, environ={**self.environ, **environ}, job=job)

    def docker_calls(self, *command: str) -> list[dict[str, Any]]:
        """The calls whose arguments hold all of `command`."""
        lines = self.docker_log.read_text().splitlines() if self.docker_log.exists() else []
        calls = [json.loads(line) for line in lines]
        return [call for call in calls if set(command) <= set(call["arguments"])]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    workspace, temporary, programs = tmp_path / "my work, space", tmp_path / "temp", tmp_path / "bin"
    for folder in (workspace, temporary, programs):
        folder.mkdir()
    docker = programs / "docker"
    fake = REPOSITORY / "tests" / "action" / "fake_docker.py"
    docker.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I "{fake}" "$@"\n')
    docker.chmod(0o755)
    project = Project(workspace)
    project.write_spec()
    log = tmp_path / "docker.jsonl"
    environ = {
        "PATH": f"{programs}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "FAKE_DOCKER_LOG": str(log),
        "FAKE_DOCKER_IMAGES": IMAGE,
    }
    return Bench(project, temporary, log, environ)


@pytest.fixture
def results_file(tmp_path: Path) -> Callable[[str], Path]:
    """Writes results that are already there."""

    def write(text: str) -> Path:
        path = tmp_path / "given.json"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="module")
def script_module() -> Iterator[ModuleType]:
    """The module stale of scripts/action, as the steps import it; nothing stays behind for other tests."""
    before, folder = set(sys.modules), str(REPOSITORY / "scripts" / "action")
    sys.path.insert(0, folder)
    yield import_module("stale")
    sys.path.remove(folder)
    for name in set(sys.modules) - before:
        if (getattr(sys.modules[name], "__file__", "") or "").startswith(folder):
            del sys.modules[name]
