#!/usr/bin/env python3
"""A `docker` for tests: it takes the action's command lines apart and runs the entrypoint on this machine.

It refuses what it does not know, as the real one does, gives the process the container's environment and
nothing of the caller's, and writes every command line to FAKE_DOCKER_LOG. Paths of the container become paths
of the host; users, capabilities and read-only mounts are the real engine's to show.

FAKE_DOCKER_GPU: none, old, or there (default: none). FAKE_DOCKER_IMAGES: those that are there already.
FAKE_DOCKER_RESULTS: leave this as results.json, be it a file, a folder or a link.
FAKE_DOCKER_STATUS: end the gate with this, without running it.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
IMAGE_ID = "sha256:" + "a" * 64
_FLAGS = {"--rm", "--init", "--read-only"}
_VALUES = {
    "--pull", "--name", "--user", "--env", "--cap-drop", "--security-opt", "--mount", "--workdir",
    "--shm-size", "--network", "--gpus", "--entrypoint", "--tmpfs",
}  # fmt: skip
_GPU_ANSWERS = {
    "none": 'docker: could not select device driver "" with capabilities: [[gpu]].',
    "old": "nvidia-container-cli: requirement error: unsatisfied condition: cuda>=13.0",
}


def main(arguments: list[str]) -> int:
    with Path(os.environ["FAKE_DOCKER_LOG"]).open("a") as log:
        call = {"arguments": arguments, "token": os.environ.get("GITHUB_TOKEN", "")}
        log.write(json.dumps(call) + "\n")
    match arguments:
        case ["info", *_]:
            print("/nonexistent")
            return 0
        case ["image", "inspect", *rest]:
            there = rest[-1] in os.environ.get("FAKE_DOCKER_IMAGES", "").split()
            print(IMAGE_ID if there else "[]")
            return 0 if there else 1
        case ["pull", *rest]:
            print(f"Error response from daemon: manifest for {rest[-1]} not found", file=sys.stderr)
            return 1
        case ["rm", "--force", _]:
            return 0
        case ["run", *rest]:
            return run(rest)
        case _:
            print(f"unknown command: {arguments}", file=sys.stderr)
            return 125


def run(arguments: list[str]) -> int:
    options: dict[str, list[str]] = {}
    while arguments and arguments[0].startswith("-"):
        option = arguments.pop(0)
        if option in _FLAGS:
            options[option] = []
        elif option in _VALUES:
            options.setdefault(option, []).append(arguments.pop(0))
        else:
            print(f"unknown flag: {option}", file=sys.stderr)
            return 125
    image, *command = arguments
    assert image == IMAGE_ID, image
    gpu = os.environ.get("FAKE_DOCKER_GPU", "none")
    if "--gpus" in options and gpu in _GPU_ANSWERS:
        print(_GPU_ANSWERS[gpu], file=sys.stderr)
        return 125
    if options.get("--entrypoint") == ["/bin/true"]:
        return 0
    return start(command, options)


def start(command: list[str], options: dict[str, list[str]]) -> int:
    places = mounted(options.get("--mount", []))
    environ = {"PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1"}
    for entry in options.get("--env", []):
        name, equals, value = entry.partition("=")
        if equals or name in os.environ:
            environ[name] = on_host(value, places) if equals else os.environ[name]
    (folder,) = options["--workdir"]
    if command[0] == "run" and (ended := instead(on_host("/output", places))) is not None:
        return ended
    entrypoint = [sys.executable, "-I", str(REPOSITORY / "entrypoint.py")]
    return subprocess.run(
        [*entrypoint, *(on_host(word, places) for word in command)],
        env=environ,
        cwd=on_host(folder, places),
        check=False,
    ).returncode


def instead(output: str) -> int | None:
    """The exit status of a gate that is not run; None to run it."""
    results, status = os.environ.get("FAKE_DOCKER_RESULTS"), os.environ.get("FAKE_DOCKER_STATUS")
    if results is not None:
        source, target = Path(results), Path(output) / "results.json"
        if source.is_symlink():
            target.symlink_to(source.readlink())
        elif source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copyfile(source, target)
        print("::error::from the model\n##[error]from the model\n  ::set-output name=status::passed")
    return int(status) if status is not None else None


def mounted(values: list[str]) -> dict[str, str]:
    """Container path -> host path of the bind mounts."""
    places = {}
    for value in values:
        (fields,) = csv.reader([value])
        pairs = dict(field.partition("=")[::2] for field in fields)
        if pairs["type"] == "bind":
            assert Path(pairs["src"]).exists(), f"bind source path does not exist: {pairs['src']}"
            places[pairs["dst"]] = pairs["src"]
    return places


def on_host(path: str, places: dict[str, str]) -> str:
    for target, source in places.items():
        if path == target or path.startswith(f"{target}/"):
            return source + path[len(target) :]
    return path


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
