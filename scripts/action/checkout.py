"""The checkout's ``.git``: actions/checkout leaves the job's token in it unless told not to."""

from __future__ import annotations

import os
from pathlib import Path

_DEPTH = 3  # folders below the workspace: `path:` of actions/checkout, and repositories beside each other
_SIZE_LIMIT = 2**20


def git_folders(workspace: Path) -> list[Path]:
    """Every ``.git`` folder of the workspace, relative to it."""
    found = []
    for folder, names, _files in os.walk(workspace):  # links are not followed
        here = Path(folder).relative_to(workspace)
        if ".git" in names and not (Path(folder) / ".git").is_symlink():
            found.append(here / ".git")
        names[:] = [] if len(here.parts) >= _DEPTH else sorted(name for name in names if name != ".git")
    return found


def credentials(workspace: Path) -> list[Path]:
    """Those configurations of git in the workspace that hold a token."""
    held = []
    for folder in git_folders(workspace):
        config = folder / "config"
        try:
            with (workspace / config).open("rb") as file:
                text = file.read(_SIZE_LIMIT).lower()
        except OSError:
            continue
        if b"extraheader" in text or b"authorization:" in text:
            held.append(config)
    return held
