"""A reference that is loaded: runs, exports, diagnoses and times its PyTorch modules and the pipeline."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from parity.artifacts import read_tensor
from parity.records.inputs import FileInputs, InputSource
from parity.records.jobs import MODEL
from parity.records.outcomes import Answer, Diagnosed, Exported, Latency, Materialized, Ran
from parity.records.requests import (
    Diagnose,
    ExportOnnx,
    LoadReference,
    MaterializeProvider,
    MeasureLatency,
    MeasureNoise,
    RunReference,
)
from parity.records.tensors import InputSet, TensorRecord
from parity.worker import numerics
from parity.worker.allocator import reusing_memory
from parity.worker.flattening import Leaf, flatten
from parity.worker.inputs import provide
from parity.worker.inputs.provider import Provider
from parity.worker.modules import enforce_eval, release, running, synchronize
from parity.worker.output_names import output_names
from parity.worker.problems import Unable
from parity.worker.profiling import Meter, PeakMemory, Prepared, resident_bytes
from parity.worker.recording import Example, Recorder, save
from parity.worker.reference_component import ReferenceComponent
from parity.worker.reference_loop import reference_steps
from parity.worker.reference_stages import Stages
from parity.worker.tensors import to_torch

Tensors = dict[str, torch.Tensor]


class LoadedReference:
    """Modules and a pipeline that are ready to run; one worker has one for its whole life."""

    def __init__(
        self,
        job: LoadReference,
        device: torch.device,
        components: dict[str, ReferenceComponent],
        pipeline: Callable[..., Any] | None,
        meter: Meter,
    ) -> None:
        self._job, self._device, self._meter = job, device, meter
        self._components, self._pipeline = components, pipeline
        self._examples: dict[tuple[str, str], Example] = {}  # case, component -> its first call
        self._provider: Provider | None = None
        self._changes_inputs = False  # whether the model has written into an input of the last run
        self._timed: Prepared | None = None  # kept while nothing but timing is asked for

    def names_for(self, source: InputSource) -> list[str] | None:
        """Names of the model's inputs, in its order, for what may have none.

        None for a pipeline, which takes what it likes.
        """
        by_position = isinstance(source, FileInputs) and Path(source.path).is_dir()
        return self._components[MODEL].input_names if by_position and self._pipeline is None else None

    def handle(
        self,
        request: MaterializeProvider | RunReference | ExportOnnx | Diagnose | MeasureNoise | MeasureLatency,
    ) -> Answer:
        """The answer to a request that needs the modules. Raises `Unable` when there is none."""
        if not isinstance(request, MeasureLatency):
            self._timed = None
        match request:
            case MaterializeProvider():
                return self.materialize_provider(request)
            case RunReference():
                return self.run(request)
            case ExportOnnx():
                return self.export(request)
            case Diagnose():
                return self.diagnose(request)
            case MeasureNoise():
                from parity.worker.reference_noise import measure_noise  # and what evaluates in float64

                self._prepare()
                return measure_noise(request, self._components, self._pipeline, self._device, self._read)
            case MeasureLatency():
                return self.measure(request)

    def materialize_provider(self, request: MaterializeProvider) -> Materialized:
        if self._provider is None:  # also in a worker that stands in for one that died
            self._provider = Provider(request.target, Path(self._job.base_dir), request.samples)
        return provide(self._provider, request)

    def run(self, request: RunReference) -> Ran:
        self._prepare()
        recorder = Recorder(Path(request.directory))
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
        start = time.perf_counter()
        with PeakMemory() as memory:
            tensors = self._tensors(request.inputs)
            versions = [tensor._version for tensor in tensors.values()]
            if self._pipeline is None:
                self._run_model(request, tensors, recorder)
                outputs = None
            else:
                outputs = save(self._run_pipeline(tensors, recorder), Path(request.directory) / "pipeline")
            self._changes_inputs = versions != [tensor._version for tensor in tensors.values()]
        for example in reversed(recorder.examples):  # the first call of each component stays
            self._examples[request.case, example.call.component] = example
        peak = torch.cuda.max_memory_allocated(self._device) if self._device.type == "cuda" else None
        release()  # the next case is the candidate's, and then another's
        return Ran(
            calls=recorder.calls,
            outputs=outputs,
            seconds=time.perf_counter() - start,
            peak_rss_bytes=memory.rss_bytes,
            peak_device_bytes=peak,
        )

    def export(self, request: ExportOnnx) -> Exported:
        before = resident_bytes()
        from parity.worker.reference_export import export  # and onnx, which nothing else here needs

        component = self._components.get(request.component)
        example = self._examples.get((request.case, request.component))
        if component is None:
            raise Unable("tool", f"the reference has no component {request.component!r}")
        if example is None:
            raise Unable(
                "user-code",
                f"{component.whose} can't be exported: it was not called with the inputs {request.case}",
                fix="call it in the pipeline: its first call is the example that the exporter follows",
            )
        self._prepare()
        tensors = self._read(example.call.inputs)
        exported = export(component, example, tensors, self._job.numerics.constant_folding)
        self._meter.leave_out(resident_bytes() - before)
        return exported

    def diagnose(self, request: Diagnose) -> Diagnosed:
        from parity.worker.reference_diagnosis import CallDiagnosis  # and onnx

        component = self._components.get(request.component)
        if component is None:
            raise Unable("tool", f"the reference has no component {request.component!r}")
        self._prepare()
        by_onnx_name = self._pipeline is not None  # as the recorder of the call has named its outputs
        with reusing_memory():
            return CallDiagnosis(component, request, self._read, by_onnx_name=by_onnx_name).run()

    def measure(self, request: MeasureLatency) -> Latency:
        self._prepare()
        if self._timed is None or self._timed.case != request.case:
            self._timed = self._prepared(request)
        with running(f"timing PyTorch on {self._device}", self._device):
            return self._meter.measure(self._timed, request.warmup, request.runs)

    def _prepared(self, request: MeasureLatency) -> Prepared:
        tensors = self._tensors(request.inputs)

        def fresh() -> Tensors:
            if self._changes_inputs:
                return {name: tensor.clone() for name, tensor in tensors.items()}
            return dict(tensors)

        if self._pipeline is None:
            component = self._components[MODEL]
            binding = component.bind(tensors)

            def run() -> object:
                if component.job.loop is None:
                    return component.forward(binding, fresh())
                steps = reference_steps(component, binding, fresh(), None, by_path=True)
                return deque(steps, maxlen=1)  # the last one's outputs: a cache grows with every step
        else:

            def run() -> object:
                return self._call_pipeline(Stages(self._components, None), fresh())

        return Prepared(request.case, run, lambda: synchronize(self._device))

    def _prepare(self) -> None:
        """User code may have changed settings or modes since."""
        numerics.apply(self._job.numerics)
        for component in self._components.values():
            enforce_eval(component.module, component.whose)

    def _run_model(self, request: RunReference, tensors: Tensors, recorder: Recorder) -> None:
        component = self._components[MODEL]
        binding = component.bind(tensors)
        if component.job.loop is not None:
            deque(reference_steps(component, binding, tensors, recorder, by_path=True), maxlen=0)
            return
        component.check(request.inputs.tensors)
        leaves = component.run(binding, tensors)
        names = output_names(component.job, leaves, component.whose)
        outputs = save(leaves, Path(request.directory) / "outputs")
        recorder.end(MODEL, binding, request.inputs.tensors, outputs, tuple(names.values()))

    def _run_pipeline(self, tensors: Tensors, recorder: Recorder) -> dict[str, Leaf]:
        result = self._call_pipeline(Stages(self._components, recorder), dict(tensors))
        return flatten(result, origin="the pipeline")

    def _call_pipeline(self, stages: Stages, tensors: Tensors) -> object:
        assert self._pipeline is not None
        with running(f"running the pipeline with PyTorch stages on {self._device}", self._device):
            result: object = self._pipeline(stages, tensors)
            synchronize(self._device)
        if stages.failure is not None:  # the user's code has caught it
            raise stages.failure
        return result

    def _tensors(self, inputs: InputSet) -> Tensors:
        return self._read(inputs.tensors)

    def _read(self, records: tuple[TensorRecord, ...]) -> Tensors:
        """New tensors on the device: what a model writes into them stays there."""
        return {record.name: to_torch(read_tensor(record), self._device, record.name) for record in records}
