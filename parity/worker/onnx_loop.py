"""The steps of an ONNX file with state, on its own state. Without PyTorch, but on a GPU."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from msgspec.structs import replace

from parity.artifacts import Array, read_tensor
from parity.records.jobs import ComponentJob
from parity.records.tensors import StageCall, TensorRecord
from parity.worker.backends.onnxruntime_session import Session
from parity.worker.feeds import names_of, read_inputs, write_outputs
from parity.worker.loops import next_state, run_steps

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
        outputs = session.run(read_inputs(session, inputs, component.name))
        written = write_outputs(folder / f"step-{number}", outputs)
        yield replace(call, inputs=inputs, outputs=written)
        fed = next_state(component, {tensor.name: tensor for tensor in written})


def record_steps(
    session: Session, component: ComponentJob, tensors: tuple[TensorRecord, ...], folder: Path
) -> tuple[StageCall, ...]:
    """Every step of a file that is the reference itself, with what went in and came out.

    Args:
        session: the component's.
        component: with a loop.
        tensors: the case's inputs; those of the state are the first step's.
        folder: for the tensors of every step.
    """
    calls: list[StageCall] = []

    def run(inputs: Feeds) -> dict[str, Array]:
        place = folder / f"call-{len(calls)}"
        saved = write_outputs(place / "inputs", {name: np.asarray(array) for name, array in inputs.items()})
        found = session.run(read_inputs(session, saved, component.name))
        outputs = write_outputs(place / "outputs", found)
        calls.append(StageCall(component=component.name, index=len(calls), inputs=saved, outputs=outputs))
        return found

    deque(run_steps(component, {one.name: read_tensor(one) for one in tensors}, run), maxlen=0)
    return tuple(calls)


def prepare_loop(
    session: Session, component: ComponentJob, steps: Sequence[StageCall]
) -> Callable[[], object]:
    """All steps as one run to be timed: inputs lie on the device already, and the state stays there."""
    feeds: list[Feeds] = [read_inputs(session, call.inputs, component.name) for call in steps]
    run: Callable[[Feeds], Mapping[str, Any]] = session.run
    if session.device[0] != "cpu":
        import torch

        from parity.worker.tensors import to_torch

        place = torch.device(*session.device)
        feeds = [{name: to_torch(array, place, name) for name, array in one.items()} for one in feeds]
        run = session.run_tensors
    of_input = {given: wanted for wanted, given in names_of(session, steps[0].inputs, component.name).items()}

    def run_all() -> object:
        outputs: Mapping[str, Any] = {}
        state: Feeds = {}
        for given in feeds:
            outputs = run({**given, **state})
            state = {of_input[name]: tensor for name, tensor in next_state(component, outputs).items()}
        return outputs

    return run_all
