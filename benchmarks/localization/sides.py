"""Both sides of the product in this process: PyTorch, ONNX Runtime on its inputs, and the diagnosis."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from torch import Tensor

from parity.artifacts import read_tensor, write_tensor
from parity.records.jobs import MODEL, ComponentJob, Exporter, ExportJob, ModelJob, OnnxRuntimeOptions
from parity.records.outcomes import Diagnosed, Ran
from parity.records.requests import (
    Diagnose,
    ExportOnnx,
    LoadReference,
    OpenSession,
    RunCandidate,
    RunReference,
    StartCandidate,
)
from parity.records.tensors import InputSet, StageCall, TensorRecord
from parity.spec.numerics import PRESETS
from parity.worker.candidate import CandidateSide
from parity.worker.reference import ReferenceSide

from . import subjects

NUMERICS = PRESETS["strict"]  # the specification's default
BASE = str(Path(__file__).parents[1])


class Sides:
    """A network that is loaded.

    Args:
        subject: its name.
        exporter: makes its file.
        folder: where the file and all tensors are.
    """

    def __init__(self, subject: str, exporter: Exporter, folder: Path) -> None:
        self._subject, self._folder = subject, folder
        self._reference = ReferenceSide()
        self.path = folder / "model.onnx"
        self._component = ComponentJob(
            name=MODEL,
            model=ModelJob(loader="python", target="localization.subjects:build", args={"name": subject}),
            onnx=str(self.path),
            # Folded constants, as the exporters do by themselves: the file is to be as users have it.
            export=ExportJob(exporter=exporter, opset=subjects.opset(subject), constant_folding=True),
        )
        self._reference.handle(
            LoadReference(
                components=(self._component,), pipeline=None, device="cpu", numerics=NUMERICS, base_dir=BASE
            )
        )

    def export(self) -> None:
        """Makes the file, with the inputs of seed 0."""
        self.run("export", subjects.inputs(self._subject, 0))
        self._reference.handle(ExportOnnx(component=MODEL, case="export"))

    def run(self, case: str, inputs: dict[str, Tensor]) -> StageCall:
        """The reference's call on these inputs."""
        records = tuple(
            write_tensor(self._folder / case / "inputs", name, tensor.numpy(), hashed=True)
            for name, tensor in inputs.items()
        )
        request = RunReference(
            case=case, inputs=InputSet(id=case, tensors=records), directory=str(self._folder / case / "run")
        )
        answer = self._reference.handle(request)
        assert isinstance(answer, Ran)
        return answer.calls[0]

    def candidate(self, call: StageCall) -> tuple[tuple[TensorRecord, ...], tuple[TensorRecord, ...]]:
        """What ONNX Runtime makes of the file as it is now, twice.

        Raises:
            Unable: it does not run it.
        """
        side = CandidateSide()
        side.handle(
            StartCandidate(
                components=(self._component,),
                pipeline=None,
                device="cpu",
                numerics=NUMERICS,
                options=OnnxRuntimeOptions(),
                base_dir=BASE,
            )
        )
        side.handle(OpenSession(component=MODEL))
        inputs = InputSet(id="", tensors=call.inputs)
        once, again = (
            side.handle(
                RunCandidate(
                    case="", inputs=inputs, calls=(call,), directory=str(self._folder / "candidate" / number)
                )
            )
            for number in ("0", "1")
        )
        assert isinstance(once, Ran)
        assert isinstance(again, Ran)
        return once.calls[0].outputs, again.calls[0].outputs

    def diagnose(self, request: Diagnose) -> Diagnosed:
        """What the reference's worker answers."""
        answer = self._reference.handle(request)
        assert isinstance(answer, Diagnosed)
        return answer


def question(call: StageCall, once: tuple[TensorRecord, ...], again: tuple[TensorRecord, ...]) -> Diagnose:
    """Why the candidate's outputs are not the reference's."""
    names = tuple(record.name for record in once)
    return Diagnose(
        component=MODEL, call=call, outputs=names, reference=call.outputs, candidate=once, repeated=again
    )


def nonfinite(reference: TensorRecord, candidate: TensorRecord) -> int:
    """How many elements are NaN or infinite in the candidate and not in the reference."""
    ours, theirs = read_tensor(reference), read_tensor(candidate)
    if ours.dtype.kind not in "fc":
        return 0
    return int(np.count_nonzero(np.isfinite(ours) & ~np.isfinite(theirs)))
