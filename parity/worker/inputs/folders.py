"""Data sets in folders, as ONNX's own tests have them: ``input_0.pb``, ..., ``output_0.pb``, ...

A folder may hold ``inputs.npz`` and ``outputs.npz`` instead, whose keys are names.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from parity.artifacts import Array
from parity.worker.inputs.files import Named, read_file, read_proto
from parity.worker.problems import Unable

Role = Literal["input", "output"]


def read_folder(folder: Path, role: Role, declared: Sequence[str] | None) -> dict[str, Array]:
    """The inputs or the outputs of one data set by the names of the model's.

    Tensors of numbered files have the names in them where the model has all of these, else those that the
    model declares at their positions.

    Args:
        folder: of the data set.
        role: which of its tensors.
        declared: names of the model's inputs or outputs in its order; None where nothing declares them.

    Raises:
        Unable: ``input``; there are none, a number is missing, a file is damaged, or names don't fit.
    """
    archive = folder / f"{role}s.npz"
    if archive.is_file():
        return read_file(archive)
    tensors = [read_proto(path) for path in _numbered(folder, role)]
    takes_none = declared is not None and not declared
    if role == "input" and not tensors and not takes_none:
        raise Unable(
            "input", f"the data set {folder} holds no input_0.pb", fix="save input_0.pb or inputs.npz"
        )
    return _by_name(tensors, folder, role, declared)


def _numbered(folder: Path, role: Role) -> list[Path]:
    """``input_0.pb``, ``input_1.pb``, ...: all of them, in the order of their numbers."""
    found = {}
    for path in folder.iterdir():
        if matched := re.fullmatch(rf"{role}_(\d+)\.pb", path.name):
            found[int(matched[1])] = path
    for number in range(len(found)):
        if number not in found:
            raise Unable(
                "input",
                f"the data set {folder} has {len(found)} {role}s, but no {role}_{number}.pb",
                fix="number the files from 0, one for each tensor",
            )
    return [found[number] for number in range(len(found))]


def _by_name(
    tensors: list[Named], folder: Path, role: Role, declared: Sequence[str] | None
) -> dict[str, Array]:
    names = [name for name, _ in tensors]
    known = set(names) if declared is None else set(declared)
    if len(set(names)) == len(names) and all(name and name in known for name in names):
        return dict(tensors)
    if declared is None:
        raise Unable(
            "input",
            f"the {role}s of the data set {folder} have no names, and nothing declares any",
            fix=f"name the tensors in the .pb files, or save {role}s.npz",
        )
    if len(names) > len(declared):
        raise Unable(
            "input",
            f"the data set {folder} has {len(names)} {role}s, the model declares {len(declared)}",
            fix="check that the data set belongs to the model",
        )
    for position, name in enumerate(names):
        if name in known and name != declared[position]:
            raise Unable(
                "input",
                f"{role}_{position}.pb of {folder} is named {name!r}, which is not the model's {role} "
                f"{position}, and not all names are the model's",
                fix="give every tensor the name that the model has for it, or none",
            )
    return {declared[position]: array for position, (_, array) in enumerate(tensors)}
