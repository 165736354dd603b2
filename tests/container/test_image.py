"""What is in the image, and what is not."""

from __future__ import annotations

import json
import re

import pytest
from support.image import ROOT, Image

pytestmark = pytest.mark.container

SITE = "/opt/parity/lib/python3.11/site-packages"


def test_its_configuration(image: Image) -> None:
    config = image.inspect()["Config"]
    user, _, group = config["User"].partition(":")
    assert int(user) > 0
    assert int(group) > 0
    assert not config.get("Healthcheck")
    assert config["WorkingDir"] == "/workspace"
    variables = dict(entry.split("=", 1) for entry in config["Env"])
    assert variables["NVIDIA_VISIBLE_DEVICES"] == "all"
    assert variables["NVIDIA_DRIVER_CAPABILITIES"] == "compute,utility"
    labels = {name.removeprefix("org.opencontainers.image."): text for name, text in config["Labels"].items()}
    assert labels["version"] == "0.0.0+test"
    assert labels["licenses"] == "Apache-2.0"
    assert labels["base.name"] == image.base
    assert {"title", "description", "source", "documentation", "revision", "created"} <= set(labels)


def test_it_is_the_base_and_the_packages_and_hardly_more(image: Image) -> None:
    site = int(image.shell(f"du -sb {SITE}").split()[0])
    rest = image.inspect()["Size"] - image.inspect(image.base)["Size"] - site
    assert rest < 100e6, f"{rest / 1e6:.0f} MB beside base and packages"


def test_the_packages_are_those_of_the_lock_file(image: Image) -> None:
    script = (
        "import json, importlib.metadata as m; "
        "print(json.dumps([(d.metadata['Name'], d.version) for d in m.distributions()]))"
    )
    found = json.loads(image.shell(f'/opt/parity/bin/python -I -c "{script}"'))
    names = [_normal(name) for name, _ in found]
    assert sorted(names) == sorted(set(names))  # nothing twice
    locked = re.findall(r"^([\w.-]+)==([^\s;]+)", (ROOT / "docker" / "cpu.lock").read_text(), re.MULTILINE)
    wanted = {_normal(name): version for name, version in locked}
    installed = {_normal(name): version for name, version in found}
    assert installed.pop("onnx-parity-action")
    assert installed == wanted


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_no_large_file_is_there_twice(image: Image) -> None:
    script = "find /opt -xdev -type f -size +4M -exec sha256sum {} + | sort"
    sums = [line.split()[0] for line in image.shell(script).splitlines()]
    assert len(sums) > 10  # PyTorch alone has more
    twice = [line for line in image.shell(script).splitlines() if sums.count(line.split()[0]) > 1]
    # PyTorch's wheel itself holds its protoc under two names.
    assert [line for line in twice if "/torch/bin/protoc" not in line] == []


def test_no_tools_of_the_build_and_no_caches(image: Image) -> None:
    script = "for tool in cc gcc g++ clang make cmake; do command -v $tool || true; done"
    assert image.shell(script) == ""
    script = "ls -A /tmp /root/.cache /opt/parity/.cache /src 2>/dev/null || true"
    assert image.shell(script).replace("/tmp:", "").strip() == ""
    assert image.shell(f"find {SITE} -name '*.pyc' | head -1") != ""  # users can't write them


def test_no_tool_is_writable(image: Image) -> None:
    assert image.shell("find /opt -xdev ! -user root -o ! -type l -perm /022 | head -5") == ""
