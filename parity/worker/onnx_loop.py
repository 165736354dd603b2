"""The steps of an ONNX file with state, on the candidate's own state. Without PyTorch, but on a GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from parity.artifacts import Array, read_tensor, write_tensor
from parity.records.jobs import MODEL, ComponentJob, StageCall
from parity.records.tensors import TensorRecord
from parity.worker.backends.onnxruntime_session import Session
from parity.worker.loops import next_state

Feeds = dict[str, Any]


def run_freely(
    session: Session, component: ComponentJob, steps: Sequence[StageCall], folder: Path
) -> Iterator[StageCall]:
    """Each step on what the file itself gave in the one before; all other inputs are the reference's.

    Args:
        session: the component's.
        component: with a loop.
        steps: the reference's, all of one loop.
        folder: for the outputs.
    """
    fed: dict[str, TensorRecord] = {}
    for number, call in enumerate(steps):
        inputs = tuple(
            replace(fed[tensor.name], name=tensor.name) if tensor.name in fed else tensor
            for tensor in call.inputs
        )
        outputs = session.run(read_feeds(session, inputs, component.name))
        written = tuple(
            write_tensor(folder / f"step-{number}", name, array) for name, array in outputs.items()
        )
        yield replace(call, inputs=inputs, outputs=written)
        fed = next_state(component, {tensor.name: tensor for tensor in written})


def prepare_loop(
    session: Session, component: ComponentJob, steps: Sequence[StageCall]
) -> Callable[[], object]:
    """All steps as one run to be timed: inputs lie on the device already, and the state stays there."""
    feeds: list[Feeds] = [dict(read_feeds(session, call.inputs, component.name)) for call in steps]
    run: Callable[[Feeds], Mapping[str, Any]] = session.run
    if session.device[0] != "cpu":
        import torch

        from parity.worker.tensors import to_torch

        place = torch.device(*session.device)
        feeds = [{name: to_torch(array, place, name) for name, array in one.items()} for one in feeds]
        run = session.run_tensors
    names = session.names_for([tensor.name for tensor in steps[0].inputs], component.name)
    of_input = {given: wanted for wanted, given in names.items()}

    def run_all() -> object:
        outputs: Mapping[str, Any] = {}
        state: Feeds = {}
        for given in feeds:
            outputs = run({**given, **state})
            state = {of_input[name]: tensor for name, tensor in next_state(component, outputs).items()}
        return outputs

    return run_all


def read_feeds(session: Session, tensors: tuple[TensorRecord, ...], component: str) -> dict[str, Array]:
    """The saved tensors by the names of the session's inputs."""
    whose = "the model" if component == MODEL else f"component {component!r}"
    names = session.names_for([tensor.name for tensor in tensors], whose)
    by_name = {tensor.name: read_tensor(tensor) for tensor in tensors}
    return {wanted: by_name[given] for wanted, given in names.items()}
