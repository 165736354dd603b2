"""Hands on the `repro/` folder that `parity run` has written: untrusted, so it is copied and never read."""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

FOLDER = "repro"
SIZE_LIMIT = 2 * 2**30  # bytes of all files together: a disk of a runner has 14 GB
_COUNT_LIMIT = 2_000
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,200}")
_PARTS = ("inputs", "reference", "candidate")


def hand_on(source: Path, target: Path, limit: int = SIZE_LIMIT) -> str:
    """Copies each case's script and tensors from `source` to `target`, in place of those of an earlier run.

    No link is followed and no pipe is waited for; nothing but ``CASE/repro.py`` and ``CASE/PART/*.npy`` is
    taken.

    Returns:
        why something was left out, or nothing.
    """
    for script in target.glob("*/repro.py"):  # folders of that name which are not ours stay
        if not script.parent.is_symlink():
            shutil.rmtree(script.parent)
    left = limit
    for number, path in enumerate(_files(source)):
        place = target / path.relative_to(source)
        if number >= _COUNT_LIMIT:
            return f"more than {_COUNT_LIMIT} files"
        place.parent.mkdir(parents=True, exist_ok=True)
        copied = _copy(path, place, left)
        if copied is None:
            return f"more than {limit // 2**20} MiB"
        left -= copied
    return ""


def _files(source: Path) -> Iterator[Path]:
    for case in _folders(source):
        yield case / "repro.py"
        for part in _folders(case):
            if part.name in _PARTS:
                yield from (Path(e.path) for e in _entries(part) if e.name.endswith(".npy"))


def _folders(folder: Path) -> list[Path]:
    return [Path(entry.path) for entry in _entries(folder) if entry.is_dir(follow_symlinks=False)]


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    if folder.is_symlink() or not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        return sorted((e for e in entries if _NAME.fullmatch(e.name)), key=lambda entry: entry.name)


def _copy(source: Path, target: Path, limit: int) -> int | None:
    """The bytes that were copied; None when there are more than `limit`."""
    try:
        handle = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return 0
    with os.fdopen(handle, "rb") as file:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            return 0
        if found.st_size > limit:
            return None
        with target.open("wb") as copy:
            shutil.copyfileobj(file, copy)
    return found.st_size
