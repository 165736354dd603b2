"""A specification file -> `Spec` and the places of everything in it."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator
from pathlib import Path as FilePath
from typing import NamedTuple

from pydantic import ValidationError

from parity.errors import SpecError, SpecErrors
from parity.spec.contradictions import contradictions
from parity.spec.files import missing_files
from parity.spec.messages import Finding, described, example, findings
from parity.spec.places import Path, Places, is_opaque
from parity.spec.schema import Spec
from parity.spec.yaml_nodes import Node, parse

SIZE_LIMIT = 1024 * 1024  # bytes; a specification is a page or two


class LoadedSpec(NamedTuple):
    """A valid specification, and where in its file everything is."""

    spec: Spec
    places: Places


def load_spec(path: str) -> LoadedSpec:
    """Reads a specification and checks all of it that can be checked without running a model.

    Args:
        path: as the user wrote it; errors name the file so.

    Raises:
        SpecError: something is wrong; `SpecErrors` when several things are, in the order of the file.
    """
    root = parse(read_text(path), path)
    places = Places(path, root)
    if not isinstance(root.value, dict):
        raise SpecError(
            f"expected a mapping, not {described(root.value)}",
            at=places.at(places.value(())),
            fix="start with `version: 1`, then `model:`, `onnx:`, `inputs:` and `tolerances:`",
        )
    empty = list(_empty_values(root, ()))
    try:
        spec = Spec.model_validate(root.value)
    except ValidationError as error:
        said = {finding.path for finding in empty}
        _refuse([*empty, *(found for found in findings(error) if found.path not in said)], places)
        raise
    _refuse(empty, places)
    _refuse(contradictions(spec), places)
    _refuse(missing_files(spec, base_of(path)), places)
    return LoadedSpec(spec, places)


def base_of(path: str) -> FilePath:
    """The absolute folder that paths in the specification are relative to."""
    return FilePath(path).absolute().parent


def read_text(path: str) -> str:
    """The text of a specification file.

    Raises:
        SpecError: it is missing, no regular file, too large, unreadable or not UTF-8.
    """
    file = FilePath(path)
    try:
        status = file.stat()
        if stat.S_ISDIR(status.st_mode):
            raise SpecError("this is a folder", at=path, fix="name the specification file in it")
        if not stat.S_ISREG(status.st_mode):
            raise SpecError("this is no regular file", at=path, fix="name a specification file")
        with file.open("rb") as stream:
            data = stream.read(SIZE_LIMIT + 1)
    except FileNotFoundError as error:
        raise SpecError("there is no such file", at=path, fix=_beside(file)) from error
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else None
        raise SpecError(f"the file can't be read: {why or error}", at=path) from error
    if len(data) > SIZE_LIMIT:
        size = max(status.st_size, len(data)) / 2**20
        fix = "keep large data in files of their own and name them here"
        raise SpecError(f"the file has {size:.1f} MiB, more than a specification's 1 MiB", at=path, fix=fix)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = len(data[data.rfind(b"\n", 0, error.start) + 1 : error.start].decode("utf-8", "replace")) + 1
        raise SpecError(
            "the file is not UTF-8", at=f"{path}:{line}:{column}", fix="save it as UTF-8"
        ) from error


def _refuse(found: Iterable[Finding], places: Places) -> None:
    """Raises what was found, if anything was, in the order of the file."""
    ordered = sorted(found, key=lambda finding: finding.place(places))
    errors = [finding.error(places) for finding in ordered]
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise SpecErrors(errors)


def _empty_values(node: Node, path: Path) -> Iterator[Finding]:
    """Keys with nothing after them, which would otherwise mean the same as no key."""
    for name, child in node.children.items():
        here = (*path, name)
        if child.value is None and isinstance(name, str):
            shown = example(here)
            fix = f"for example {shown}, or leave it out" if shown else "give it a value, or leave it out"
            yield Finding(here, f"{name!r} has no value", fix, on_key=True)
        elif not is_opaque(here):  # where null is a value like any other
            yield from _empty_values(child, here)


def _beside(file: FilePath) -> str:
    """Names a specification in the folder where one was looked for."""
    try:
        found = sorted(entry.name for entry in file.parent.iterdir() if entry.suffix in {".yml", ".yaml"})
    except OSError:
        return f"there is no folder {str(file.parent)!r} either"
    return f"in this folder there is {', '.join(found[:5])}" if found else "check the path"
