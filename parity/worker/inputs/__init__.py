"""Where inputs come from: drawn from distributions, read from files and images, or yielded by user code.

Every source gives tensors by the names of the model's inputs, as NumPy arrays. A file format is one
function `path -> {name: array}` and one line in `parity.registry.INPUT_FORMATS`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from msgspec.structs import replace

from parity.artifacts import Array, write_tensor
from parity.records.inputs import FileInputs, GeneratedInputs, ImageInputs, InputSource
from parity.records.outcomes import Materialized
from parity.records.requests import MaterializeProvider
from parity.records.tensors import InputSet
from parity.worker.inputs.files import read_file
from parity.worker.inputs.folders import read_folder
from parity.worker.inputs.generated import generate
from parity.worker.inputs.images import read_image

if TYPE_CHECKING:
    from parity.worker.inputs.provider import Provider  # which imports PyTorch


class InputFormat(Protocol):
    """Reads the tensors of one file."""

    def __call__(self, path: Path) -> dict[str, Array]:
        """Raises `parity.worker.problems.Unable`, reason ``input``, when the file is of no use."""
        ...


def materialize(
    set_id: str,
    source: InputSource,
    directory: Path,
    declared: Sequence[str] | None = None,
) -> InputSet:
    """Writes the tensors of one source into `directory`, with hashes.

    `declared` are the names of the model's inputs, for data sets whose tensors have none.
    """
    if isinstance(source, GeneratedInputs):
        return write_set(set_id, generate(source), directory)
    if isinstance(source, ImageInputs):
        return write_set(set_id, {source.input: read_image(source)}, directory)
    path = Path(source.path)
    return write_set(
        set_id, read_folder(path, "input", declared) if path.is_dir() else read_file(path), directory
    )


def with_outputs(inputs: InputSet, source: FileInputs, directory: Path, declared: Sequence[str]) -> InputSet:
    """The input set with the outputs that a data set in a folder holds, written too.

    `declared` are the names of the model's outputs; the saved ones come in this order.
    """
    path = Path(source.path)
    tensors = read_folder(path, "output", declared) if path.is_dir() else {}
    saved = write_set(inputs.id, {name: tensors[name] for name in declared if name in tensors}, directory)
    return replace(inputs, expected=saved.tensors)


def write_set(set_id: str, tensors: dict[str, Array], directory: Path) -> InputSet:
    """Writes one input set into `directory`: the bytes that both sides will read."""
    return InputSet(
        id=set_id,
        tensors=tuple(
            write_tensor(directory, name, _native(array), hashed=True) for name, array in tensors.items()
        ),
    )


def provide(provider: Provider, request: MaterializeProvider) -> Materialized:
    """The set that is due, written where it is wanted; no set when the provider has ended."""
    tensors = provider.at(request.index)
    if tensors is None:
        return Materialized(sets=())
    name = str(request.index)
    if request.directory is None:
        return Materialized(sets=(InputSet(id=name, tensors=()),))
    return Materialized(sets=(write_set(name, tensors, Path(request.directory)),))


def _native(array: Array) -> Array:
    """In this machine's byte order, which files need not have and no runtime takes otherwise."""
    return array.astype(array.dtype.newbyteorder("="), copy=False)
