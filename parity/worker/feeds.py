"""Saved tensors as a session takes them, and what it gives, saved."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from parity.artifacts import Array, read_tensor, write_tensor
from parity.records.jobs import MODEL
from parity.records.tensors import TensorRecord
from parity.worker.casting import cast_feeds

if TYPE_CHECKING:
    from parity.worker.backends.onnxruntime_session import Session


def read_inputs(session: Session, tensors: tuple[TensorRecord, ...], component: str) -> dict[str, Array]:
    """The saved tensors by the names of the session's inputs."""
    names = names_of(session, tensors, component)
    by_name = {tensor.name: read_tensor(tensor) for tensor in tensors}
    feeds = {wanted: by_name[given] for wanted, given in names.items()}
    return cast_feeds(feeds, session.inputs) if session.casts_inputs else feeds


def names_of(session: Session, tensors: tuple[TensorRecord, ...], component: str) -> dict[str, str]:
    """Input of the file -> name of the tensor that it gets."""
    whose = "the model" if component == MODEL else f"component {component!r}"
    return session.names_for([tensor.name for tensor in tensors], whose)


def write_outputs(folder: Path, outputs: Mapping[str, Array]) -> tuple[TensorRecord, ...]:
    """Saves outputs in a folder, in their order."""
    return tuple(write_tensor(folder, name, array) for name, array in outputs.items())
