"""Importing what a specification names in Python: ``file.py:callable`` or ``package.module:callable``."""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from parity.worker.problems import Unable, user_code

FORMS = "file.py:callable or package.module:callable"


def import_target(target: str, base_dir: str | Path) -> Callable[..., Any]:
    """The callable that `target` names.

    A file is relative to `base_dir`. `base_dir` and the file's own folder go to the front of `sys.path`, as
    they would for a script, so that the user's modules find each other.

    Raises:
        Unable: there is no such file, module or attribute, it can't be called, or the import raised.
    """
    place, _, attribute = target.rpartition(":")
    if not place or not attribute:
        raise Unable("specification", f"{target!r} names no Python callable", fix=f"write it as {FORMS}")
    base = Path(base_dir).resolve()
    prefer_imports_from(base)
    module = _from_file(base / place) if place.endswith(".py") else _from_package(place, target)
    return _attribute(module, attribute, place)


def prefer_imports_from(folder: Path) -> None:
    """Puts a folder at the front of `sys.path`, once."""
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


def _from_file(path: Path) -> ModuleType:
    path = path.resolve()
    # The name is the same for the same file: a pipeline and a model in one file are one module.
    name = f"parity_user_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    if not path.is_file():
        raise Unable(
            "specification", f"there is no file {path}", fix="paths are relative to the specification"
        )
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    prefer_imports_from(path.parent)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and typing look their module up while it is being run
    try:
        with user_code(f"importing {path.name}"):
            spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _from_package(name: str, target: str) -> ModuleType:
    with user_code(f"importing {name}"):
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            # Only the module that was asked for; one that it imports in turn is the user's code failing.
            if error.name is None or not f"{name}.".startswith(f"{error.name}."):
                raise
            raise Unable(
                "specification",
                f"{target!r}: there is no module {error.name!r}",
                fix=f"install it, or name a file: {FORMS}",
            ) from error


def _attribute(module: ModuleType, attribute: str, place: str) -> Callable[..., Any]:
    found: Any = module
    for part in attribute.split("."):
        if not hasattr(found, part):
            near = difflib.get_close_matches(
                part, [name for name in vars(found) if not name.startswith("_")], 1
            )
            raise Unable(
                "specification",
                f"{place} has no {part!r}",
                fix=f"did you mean {near[0]!r}?" if near else f"define {part!r} there",
            )
        found = getattr(found, part)
    if not callable(found):
        raise Unable(
            "specification",
            f"{place}:{attribute} is of type {type(found).__name__}, and can't be called",
            fix="name a function or a class",
        )
    result: Callable[..., Any] = found
    return result
