"""The reference side where it is ONNX too: a suite's files, or others in their place, in ONNX Runtime."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from parity.records.jobs import MODEL
from parity.records.outcomes import Answer, Diagnosed, Loaded, Materialized, NoiseFloors, Ran
from parity.records.placement import Placement
from parity.records.requests import (
    Diagnose,
    LoadOnnxReference,
    MaterializeProvider,
    MaterializeSet,
    MeasureLatency,
    MeasureNoise,
    Request,
    RunReference,
    StartCandidate,
)
from parity.records.tensors import StageCall, TensorRecord
from parity.worker.allocator import reusing_memory
from parity.worker.candidate import CandidateSide
from parity.worker.feeds import read_inputs, write_outputs
from parity.worker.inputs import materialize, provide
from parity.worker.onnx_loop import record_steps
from parity.worker.problems import Unable
from parity.worker.profiling import PeakMemory
from parity.worker.targets import prefer_imports_from

if TYPE_CHECKING:
    from parity.worker.inputs.provider import Provider
    from parity.worker.onnx_pair import GraphPair


class OnnxReferenceSide(CandidateSide):
    """Answers the requests of a reference worker with sessions: `LoadOnnxReference` first."""

    def __init__(self) -> None:
        super().__init__()
        self._load_job: LoadOnnxReference | None = None
        self._provider: Provider | None = None

    def handle(self, request: Request) -> Answer:
        """Raises `Unable` when there is no answer."""
        if not isinstance(request, MeasureLatency):
            self._timed = None
        match request:
            case LoadOnnxReference():
                return self._load(request)
            case MaterializeSet():
                inputs = materialize(request.id, request.source, Path(request.directory), self._input_names())
                return Materialized(sets=(inputs,))
            case MaterializeProvider():
                return self._provide(request)
            case RunReference():
                return self._run_reference(request)
            case Diagnose() | MeasureNoise() | MeasureLatency():
                return self._after_a_run(request)
            case _:
                raise Unable("tool", f"an ONNX reference's worker was sent {type(request).__name__}")

    def _load(self, job: LoadOnnxReference) -> Loaded:
        self._load_job = job
        prefer_imports_from(Path(job.base_dir))
        loaded = self._start(
            StartCandidate(
                components=job.components,
                pipeline=job.pipeline,
                device=job.device,
                numerics=job.numerics,
                options=job.options,
                base_dir=job.base_dir,
            )
        )
        settings = dict(loaded.settings)
        placements: list[Placement] = []
        for component in job.components:
            opened = self._open(component.name)
            placements += [opened.placement] if opened.placement else []
            prefix = f"{component.name}: " if len(job.components) > 1 else ""
            settings |= {f"{prefix}{key}": value for key, value in opened.settings.items()}
        return replace(loaded, settings=settings, placements=tuple(placements))

    @property
    def _loaded(self) -> LoadOnnxReference:
        if self._load_job is None:
            raise Unable("tool", "the ONNX reference is not loaded")
        return self._load_job

    def _provide(self, request: MaterializeProvider) -> Materialized:
        from parity.worker.inputs.provider import Provider  # and PyTorch

        if self._provider is None:
            self._provider = Provider(request.target, Path(self._loaded.base_dir), request.samples)
        return provide(self._provider, request)

    def _input_names(self) -> list[str] | None:
        """Of the model, in its order; None for a pipeline, which takes what it likes."""
        return None if self._pipeline else [value.name for value in self._session(MODEL).inputs]

    def _run_reference(self, request: RunReference) -> Ran:
        """Records each call of a component; without a pipeline there is one, of the model."""
        directory = Path(request.directory)
        start = time.perf_counter()
        with PeakMemory() as memory:
            if self._pipeline is None:
                calls, outputs = self._run_model(request.inputs.tensors, directory), None
            else:
                chain, calls = self._pipeline.record(request.inputs, directory)
                outputs = write_outputs(directory / "pipeline", chain)
        return Ran(
            calls=calls,
            outputs=outputs,
            seconds=time.perf_counter() - start,
            peak_rss_bytes=memory.rss_bytes,
            placements=tuple(self._placements(calls, request.case)),
        )

    def _run_model(self, tensors: tuple[TensorRecord, ...], directory: Path) -> tuple[StageCall, ...]:
        session, component = self._session(MODEL), self._component(MODEL)
        if component.loop is not None:
            return record_steps(session, component, tensors, directory)
        saved = write_outputs(directory / "outputs", session.run(read_inputs(session, tensors, MODEL)))
        return (StageCall(component=MODEL, index=0, inputs=tensors, outputs=saved),)

    def _diagnose_call(self, request: Diagnose) -> Diagnosed:
        from parity.worker.onnx_diagnosis import diagnose_pair  # and PyTorch

        session = self._session(request.component)
        feeds = read_inputs(session, request.call.inputs, request.component)
        with reusing_memory():
            return diagnose_pair(request, self._pair(request.component), feeds)

    def _after_a_run(self, request: Diagnose | MeasureNoise | MeasureLatency) -> Answer:
        match request:
            case Diagnose():
                return self._diagnose_call(request)
            case MeasureNoise():
                return self._measure_noise(request)
            case MeasureLatency():
                return self._measure(request)

    def _measure_noise(self, request: MeasureNoise) -> NoiseFloors:
        from parity.worker.onnx_pair import noise_floors

        if request.component is None:
            why = "the noise floor of a pipeline needs PyTorch stages; give components a noise_factor"
            return NoiseFloors(floors={record.name: why for record in request.outputs}, seconds=0.0)
        session = self._session(request.component)
        feeds = read_inputs(session, request.inputs, request.component)
        return noise_floors(request, self._pair(request.component), feeds)

    def _pair(self, component: str) -> GraphPair:
        from parity.worker.onnx_pair import GraphPair

        job, session = self._loaded, self._session(component)
        return GraphPair(
            reference=session.path,
            candidate=job.candidates[component],
            run=session.run,
            device=job.device,
            numerics=job.numerics,
            options=job.options,
        )
