"""`parity` of this machine: where the job already runs in a container that has it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from messages import Stop
from settings import Runner

# What lets a step act on the job or on GitHub: not for the model's code.
_WITHHELD = ("ACTIONS_", "INPUT_", "GITHUB_TOKEN", "GH_TOKEN", "JOB_CONTAINER", "IMAGE_", "MATRIX", "RUN_DIR")
_FILE_COMMANDS = ("GITHUB_ENV", "GITHUB_PATH", "GITHUB_OUTPUT", "GITHUB_STATE", "GITHUB_STEP_SUMMARY")


def find_parity(runner: Runner) -> Path:
    """The program.

    Raises:
        Stop: it is not installed.
    """
    found = shutil.which("parity", path=runner.environ.get("PATH"))
    if found is None:
        raise Stop(
            "there is no `parity` on the PATH, which mode native needs",
            "let the job run in the action's image (container: image: ...), or install it before this step: "
            'pip install "$GITHUB_ACTION_PATH[cpu]" (docs/action.md)',
        )
    return Path(found)


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The job's environment without what acts on the job: hygiene, not isolation.

    The files behind those names stay where the job's user can write them.
    """
    return {
        name: value
        for name, value in environ.items()
        if not name.startswith(_WITHHELD) and name not in _FILE_COMMANDS
    }


def interpreter(parity: Path) -> Path:
    """The Python that has it: the one beside the program, in a virtual environment as elsewhere.

    Raises:
        Stop: there is none beside it.
    """
    for name in ("python3", "python"):
        if (found := parity.resolve().parent / name).exists():
            return found
    raise Stop(
        f"there is no python3 beside {parity.resolve()}",
        "install parity with pip into an environment of its own (python3 -m venv) and put that on the PATH",
    )
