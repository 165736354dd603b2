"""The container image under test, and running it as a workflow or a person does."""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
NAME = "local/parity:cpu"
# Prints the name of a base image, where there is no access to a registry; it lies beside the checkout.
_BASE_TOOL = ROOT.parent / "shared" / "tools" / "container-base"

CALLER, OWNER = 1234, 4321  # two users that no image knows


@dataclass(frozen=True)
class Image:
    """An image: its name, and the one that it is made from."""

    name: str
    base: str

    def inspect(self, name: str | None = None) -> dict[str, Any]:
        """What the engine says of the image."""
        (found,) = json.loads(docker("image", "inspect", name or self.name).stdout)
        assert isinstance(found, dict)
        return found

    def command(self, *arguments: str, options: tuple[str, ...] = ()) -> list[str]:
        """`docker run` with what a careful caller gives: another user, no capability, no network."""
        careful = ("--init", "--user", f"{CALLER}:{CALLER}", "--cap-drop", "ALL", "--network", "none")
        safe = ("--security-opt", "no-new-privileges", "--read-only", "--tmpfs", "/tmp:exec")
        return ["docker", "run", "--rm", *careful, *safe, *options, self.name, *arguments]

    def run(self, *arguments: str, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        """Runs it to its end."""
        name = f"parity-test-{uuid.uuid4().hex[:12]}"
        command = self.command(*arguments, options=("--name", name, *options))
        try:
            return subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
        except subprocess.TimeoutExpired:
            docker("rm", "--force", name)  # the client is dead, the container is not
            raise

    def shell(self, script: str) -> str:
        """What a shell script prints inside, run as root."""
        return docker("run", "--rm", "--user", "0", "--entrypoint", "sh", self.name, "-euc", script).stdout


def docker(*arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    """Runs `docker ARGUMENTS`, which must succeed."""
    done = subprocess.run(
        ["docker", *arguments], capture_output=True, text=True, timeout=timeout, check=False
    )
    assert done.returncode == 0, f"docker {' '.join(arguments)}\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
    return done


def build() -> Image:
    """The CPU image of this checkout; skips where there is no engine.

    PARITY_TEST_BASE_IMAGE names the base image (default: what the tool beside the checkout makes, else the
    Dockerfile's), PARITY_TEST_INDEX_URL an index with the CPU build of PyTorch, where the base image's
    pip does not find it by itself, and PARITY_TEST_BUILD_OPTIONS more options of `docker build`.
    """
    base = os.environ.get("PARITY_TEST_BASE_IMAGE", "")
    if not base and os.access(_BASE_TOOL, os.X_OK):
        made = subprocess.run([_BASE_TOOL], capture_output=True, text=True, timeout=900, check=False)
        if made.returncode:
            pytest.skip(f"NOT TESTED: the image, as there is no base image: {made.stderr.strip()[-500:]}")
        base = made.stdout.strip()
    try:
        asked = subprocess.run(["docker", "info"], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"NOT TESTED: the image, as there is no Docker engine: {error}")
    if asked.returncode:
        pytest.skip(f"NOT TESTED: the image, as no Docker engine answers: {asked.stderr.strip()[-500:]}")
    base = base or "python:3.11-slim-bookworm"
    values = {"BASE_IMAGE": base, "RUNTIME": "cpu", "VERSION": "0.0.0+test"}
    if index := os.environ.get("PARITY_TEST_INDEX_URL"):
        values["EXTRA_INDEX_URL"] = index
    options = [part for name, value in values.items() for part in ("--build-arg", f"{name}={value}")]
    options += os.environ.get("PARITY_TEST_BUILD_OPTIONS", "").split()
    docker("build", "--tag", NAME, *options, str(ROOT), timeout=1800)
    return Image(NAME, base)


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
