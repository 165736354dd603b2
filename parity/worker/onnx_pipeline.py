"""The user's pipeline function with ONNX stages, on PyTorch tensors that stay on the device."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from parity.artifacts import Array, read_tensor, write_tensor
from parity.records.jobs import ComponentJob, Numerics
from parity.records.outcomes import Setting
from parity.records.tensors import InputSet, StageCall, TensorRecord
from parity.worker import numerics as torch_numerics
from parity.worker.backends.onnxruntime_session import Session
from parity.worker.flattening import Leaf, flatten
from parity.worker.modules import find_device, running, synchronize
from parity.worker.onnx_stages import Stages, Tensors, Watch
from parity.worker.targets import import_target
from parity.worker.tensors import to_numpy, to_torch

CallKey = tuple[str, int]  # component, index


class OnnxPipeline:
    """The function ``run(stages, inputs) -> outputs`` that `target` names, with ONNX stages.

    `sessions` may be filled later; each component has its session there before the first run.

    Raises:
        Unable: the function can't be imported, or PyTorch can't use the device.
    """

    def __init__(
        self,
        target: str,
        base_dir: str,
        sessions: Mapping[str, Session],
        device: str,
        numerics: Numerics,
        components: Sequence[ComponentJob] = (),
    ) -> None:
        self._loops = {one.name: one for one in components if one.loop is not None}
        self._sessions, self._numerics, self._device = sessions, numerics, find_device(device)
        self._changes_inputs = False  # whether the function has written into an input of the last run
        self._function = import_target(target, base_dir)
        torch_numerics.apply(numerics)  # after the import, which may have set other things

    @property
    def settings(self) -> dict[str, Setting]:
        """PyTorch's settings in force: the function computes with PyTorch between the stages."""
        return torch_numerics.settings()

    @property
    def versions(self) -> dict[str, str]:
        """Version of PyTorch."""
        return {"torch": str(torch.__version__)}

    def run(
        self, inputs: InputSet, calls: tuple[StageCall, ...], folders: Mapping[CallKey, Path]
    ) -> tuple[dict[str, Array], dict[CallKey, StageCall]]:
        """The chain's flattened outputs, and those of the reference's `calls` that it has already answered.

        A stage whose inputs in the chain are the reference's own, bit for bit, has computed just what the
        component computes alone; its outputs are saved in the call's folder, and it need not run again.
        """
        taken = _Taken(calls, folders)
        tensors = self._tensors(inputs)
        versions = _versions(tensors)
        outputs = _arrays(flatten(self._call(dict(tensors), taken), origin="the pipeline"))
        self._changes_inputs = _versions(tensors) != versions
        return outputs, taken.calls

    def record(self, inputs: InputSet, directory: Path) -> tuple[dict[str, Array], tuple[StageCall, ...]]:
        """The chain's flattened outputs, and every call of a stage, with its tensors saved."""
        recorder = _Recorder(directory)
        tensors = self._tensors(inputs)
        versions = _versions(tensors)
        outputs = _arrays(flatten(self._call(dict(tensors), recorder), origin="the pipeline"))
        self._changes_inputs = _versions(tensors) != versions
        return outputs, tuple(recorder.calls)

    def prepare(self, inputs: InputSet) -> tuple[Callable[[], object], Callable[[], None]]:
        """A run to be timed, and what waits for the device; nothing is saved."""
        tensors = self._tensors(inputs)

        def run() -> object:
            own = {
                name: tensor.clone() if self._changes_inputs else tensor for name, tensor in tensors.items()
            }
            return self._call(own, None)

        return run, lambda: synchronize(self._device)

    def _tensors(self, inputs: InputSet) -> Tensors:
        return {
            record.name: to_torch(read_tensor(record), self._device, record.name) for record in inputs.tensors
        }

    def _call(self, inputs: Tensors, watch: Watch | None) -> object:
        torch_numerics.apply(self._numerics)  # the user's code may have changed them
        stages = Stages(self._sessions, self._device, watch, self._loops)
        doing = f"running the pipeline with ONNX stages on {self._device}"
        with torch.no_grad(), running(doing, self._device):
            result: object = self._function(stages, inputs)
        if stages.failure is not None:  # the user's code has caught it
            raise stages.failure
        return result


class _Taken:
    """Watches the stages of a chain, and saves for the reference's calls what they have answered."""

    def __init__(self, calls: tuple[StageCall, ...], folders: Mapping[CallKey, Path]) -> None:
        self.calls: dict[CallKey, StageCall] = {}
        self._recorded = {(call.component, call.index): call for call in calls}
        self._folders = folders
        self._count: Counter[str] = Counter()

    def __call__(self, session: Session, component: str, inputs: Tensors, outputs: Tensors) -> None:
        key = (component, self._count[component])
        self._count[component] += 1
        call = self._recorded.get(key)
        if call is None or not _same_inputs(session, call, inputs):
            return
        # Saved at once: the user's code may change the tensors in place.
        self.calls[key] = StageCall(
            component=call.component,
            index=call.index,
            inputs=call.inputs,
            outputs=_saved(self._folders[key], outputs),
        )


class _Recorder:
    """Watches the stages of a chain, and saves every call: these are the reference's."""

    def __init__(self, directory: Path) -> None:
        self.calls: list[StageCall] = []
        self._directory = directory

    def __call__(self, session: Session, component: str, inputs: Tensors, outputs: Tensors) -> None:
        del session
        folder = self._directory / f"call-{len(self.calls)}"
        index = sum(call.component == component for call in self.calls)
        self.calls.append(
            StageCall(
                component=component,
                index=index,
                inputs=_saved(folder / "inputs", inputs),
                outputs=_saved(folder / "outputs", outputs),
            )
        )


def _saved(folder: Path, tensors: Tensors) -> tuple[TensorRecord, ...]:
    return tuple(write_tensor(folder, name, to_numpy(tensor, name)) for name, tensor in tensors.items())


def _arrays(leaves: Mapping[str, Leaf]) -> dict[str, Array]:
    return {
        name: to_numpy(leaf, name) if isinstance(leaf, torch.Tensor) else leaf
        for name, leaf in leaves.items()
    }


def _same_inputs(session: Session, call: StageCall, inputs: Tensors) -> bool:
    """Whether a stage's inputs are those of the reference's call, bit for bit."""
    by_name = {record.name: record for record in call.inputs}
    names = session.names_for(list(by_name), f"component {call.component!r}")
    return all(
        _same_bits(read_tensor(by_name[given]), to_numpy(inputs[name], name)) for name, given in names.items()
    )


def _same_bits(one: Array, other: Array) -> bool:
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    # As bytes, where a NaN equals itself and -0.0 is not 0.0.
    return np.array_equal(one.reshape(-1).view(np.uint8), other.reshape(-1).view(np.uint8))


def _versions(tensors: Tensors) -> list[int]:
    """PyTorch counts the writes into each tensor."""
    return [tensor._version for tensor in tensors.values()]
