"""The command lines of docker: the same that a person would type."""

from __future__ import annotations

import csv
import io
import os
import secrets
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from messages import Stop

WORKSPACE = "/workspace"
OUTPUT = "/output"
_QUICK_S = 60.0  # for what docker answers from memory


@dataclass(frozen=True)
class Mount:
    """A file or folder of the host in the container, read-only unless said otherwise."""

    source: Path
    target: str
    writable: bool = False

    def __str__(self) -> str:
        """The value of ``--mount``, which is a line of CSV: a path may have a comma or a quote in it."""
        fields = ["type=bind", f"src={self.source}", f"dst={self.target}"]
        if not self.writable:
            fields.append("readonly")
        return _csv(fields)


def hidden(target: str) -> str:
    """The value of ``--mount`` that puts an empty folder in place of `target`."""
    return _csv(["type=tmpfs", f"dst={target}", "tmpfs-size=4096", "tmpfs-mode=0555"])


def _csv(fields: list[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(fields)
    return line.getvalue()


def new_name() -> str:
    """Of a container, so that a cancelled job can end it."""
    return f"parity-{secrets.token_hex(8)}"


def run_command(
    image: str,
    arguments: Sequence[str],
    mounts: Sequence[Mount],
    name: str,
    options: Sequence[str] = (),
) -> list[str]:
    """``docker run`` with what every container of the action gets, trusted or not.

    It has the caller's user and group, no capability, no way to gain one, no docker socket, none of the
    job's environment, and of its files nothing but `mounts`.
    """
    command = ["docker", "run", "--rm", "--init", "--pull", "never", "--name", name]
    command += ["--user", f"{os.getuid()}:{os.getgid()}"]
    # No passwd entry for that user: torch.compile asks for its name, and its cache needs a place.
    command += ["--env", "HOME=/tmp", "--env", "USER=parity", "--env", "TORCHINDUCTOR_CACHE_DIR=/tmp/ti"]
    command += ["--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
    for mount in mounts:
        command += ["--mount", str(mount)]
    return [*command, *options, image, *arguments]


def gpu_option(gpus: str) -> list[str]:
    """``--gpus`` for ``all`` or a list of devices; nothing for ``none``."""
    if gpus == "none":
        return []
    # The value is CSV: without its own quotes docker takes only the first of several devices.
    return ["--gpus", "all" if gpus == "all" else f'"device={gpus}"']


def ask(*arguments: str, timeout: float = _QUICK_S) -> subprocess.CompletedProcess[str]:
    """Runs ``docker ARGUMENTS`` and gives what it said.

    Raises:
        Stop: there is no docker, or it did not answer in `timeout` seconds.
    """
    try:
        return subprocess.run(
            ["docker", *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except FileNotFoundError as error:
        raise Stop("there is no `docker` on this runner", NO_DOCKER) from error
    except subprocess.TimeoutExpired as error:
        raise Stop(f"docker did not answer within {timeout:g} s", "restart the docker engine") from error


NO_DOCKER = (
    "install Docker Engine and add the runner's user to the group `docker`; where the job itself runs in a "
    "container that has parity, or on Kubernetes, say `mode: native`: the model's code is not isolated then"
)
