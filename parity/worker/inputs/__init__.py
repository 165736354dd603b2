"""Where inputs come from: drawn from distributions, read from files, or yielded by the user's code.

Every source gives tensors by the names of the model's inputs, as NumPy arrays. A file format is one
function `path -> {name: array}` and one line in `parity.registry.INPUT_FORMATS`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from parity.artifacts import Array, write_tensor
from parity.records.jobs import FileInputs, GeneratedInputs
from parity.records.tensors import InputSet
from parity.worker.inputs.files import read_file
from parity.worker.inputs.generated import generate


class InputFormat(Protocol):
    """Reads the tensors of one file."""

    def __call__(self, path: Path) -> dict[str, Array]:
        """Raises `parity.worker.problems.Unable`, reason ``input``, when the file is of no use."""
        ...


def materialize(set_id: str, source: GeneratedInputs | FileInputs, directory: Path) -> InputSet:
    """Writes the tensors of one source into `directory`, with hashes."""
    tensors = generate(source) if isinstance(source, GeneratedInputs) else read_file(Path(source.path))
    return write_set(set_id, tensors, directory)


def write_set(set_id: str, tensors: dict[str, Array], directory: Path) -> InputSet:
    """Writes one input set into `directory`: the bytes that both sides will read."""
    return InputSet(
        id=set_id,
        tensors=tuple(
            write_tensor(directory, name, _native(array), hashed=True) for name, array in tensors.items()
        ),
    )


def _native(array: Array) -> Array:
    """In this machine's byte order, which files need not have and no runtime takes otherwise."""
    return array.astype(array.dtype.newbyteorder("="), copy=False)
