"""A reference that is outputs on disk, as ONNX's own tests have them. No PyTorch is imported for it."""

from __future__ import annotations

from pathlib import Path

from parity.records.inputs import FileInputs
from parity.records.jobs import MODEL
from parity.records.outcomes import Answer, Loaded, Materialized, Ran
from parity.records.requests import LoadReference, MaterializeSet, Request, RunReference
from parity.records.tensors import StageCall, ValueInfo
from parity.worker.inputs import materialize, with_outputs
from parity.worker.onnx_files import read_signature
from parity.worker.problems import Unable
from parity.worker.profiling import PeakMemory


class SavedReference:
    """Answers the requests of a reference worker with what was saved beside the inputs."""

    def __init__(self) -> None:
        self._signature: tuple[tuple[ValueInfo, ...], tuple[ValueInfo, ...]] | None = None

    def handle(self, request: Request) -> Answer:
        """Raises `Unable` for all that only a module can do: noise floors, diagnoses, timing, exports."""
        match request:
            case LoadReference():
                (component,) = request.components
                self._signature = read_signature(component.onnx)
                return Loaded(settings={}, versions={}, device="saved outputs")
            case MaterializeSet(id=set_id, source=FileInputs() as source, directory=directory):
                return self._materialize(set_id, source, Path(directory))
            case RunReference():
                return self._run(request)
            case _:
                raise Unable(
                    "model",
                    "the reference is outputs that were saved: there is no module to evaluate",
                    fix="give a `model` that builds the module, or do without what needs one",
                )

    def _materialize(self, set_id: str, source: FileInputs, directory: Path) -> Materialized:
        names, outputs = self._names()
        inputs = materialize(set_id, source, directory, names)
        return Materialized(sets=(with_outputs(inputs, source, directory / "outputs", outputs),))

    def _run(self, request: RunReference) -> Ran:
        """Nothing runs. Outputs that are not all there would be paired by their order."""
        expected = request.inputs.expected
        saved = {record.name for record in expected}
        missing = [name for name in self._names()[1] if name not in saved]
        if missing:
            raise Unable(
                "input",
                f"the output {missing[0]!r} was not saved beside the inputs {request.inputs.id}",
                fix="give folders with output_0.pb, ... or outputs.npz, with every output of the model",
            )
        call = StageCall(component=MODEL, index=0, inputs=request.inputs.tensors, outputs=expected)
        with PeakMemory() as memory:
            pass
        return Ran(calls=(call,), outputs=None, seconds=0.0, peak_rss_bytes=memory.rss_bytes)

    def _names(self) -> tuple[list[str], list[str]]:
        """Inputs and outputs of the ONNX file."""
        if self._signature is None:
            raise Unable("tool", "the reference is not loaded")
        inputs, outputs = self._signature
        return [value.name for value in inputs], [value.name for value in outputs]
