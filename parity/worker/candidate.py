"""The candidate side: ONNX files in ONNX Runtime, each component alone and the pipeline as a whole."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from parity.records.jobs import MODEL, ComponentJob
from parity.records.loops import whole_loops
from parity.records.outcomes import Answer, DiagnosedRuntime, Latency, Loaded, Ran, SessionOpened
from parity.records.placement import Placement
from parity.records.requests import (
    DiagnoseRuntime,
    MeasureLatency,
    OpenSession,
    Request,
    RunCandidate,
    StartCandidate,
)
from parity.records.tensors import StageCall, TensorRecord
from parity.worker.allocator import reusing_memory
from parity.worker.feeds import names_of, read_inputs, write_outputs
from parity.worker.onnx_loop import prepare_loop, run_freely
from parity.worker.problems import Unable
from parity.worker.profiling import Meter, PeakMemory, Prepared

if TYPE_CHECKING:
    from parity.worker.backends.onnxruntime import OnnxRuntime
    from parity.worker.backends.onnxruntime_session import Session
    from parity.worker.onnx_pipeline import OnnxPipeline


class CandidateSide:
    """Answers the requests of a candidate worker. PyTorch is imported for a pipeline or for CUDA only."""

    def __init__(self) -> None:
        self._job: StartCandidate | None = None
        self._runtime: OnnxRuntime | None = None
        self._pipeline: OnnxPipeline | None = None
        self._sessions: dict[str, Session] = {}
        self._meter: Meter | None = None
        self._timed: Prepared | None = None  # kept while nothing but timing is asked for
        self._placed: set[str] = set()  # components whose placement has been answered

    def handle(self, request: Request) -> Answer:
        """Raises `Unable` when there is no answer."""
        if not isinstance(request, MeasureLatency):
            self._timed = None
        match request:
            case StartCandidate():
                return self._start(request)
            case OpenSession():
                return self._open(request.component)
            case RunCandidate():
                return self._run(request)
            case DiagnoseRuntime():
                return self._diagnose(request)
            case MeasureLatency():
                return self._measure(request)
            case _:
                raise Unable("tool", f"a candidate worker was sent {type(request).__name__}")

    def _start(self, job: StartCandidate) -> Loaded:
        from parity.worker.backends.onnxruntime import OnnxRuntime
        from parity.worker.backends.onnxruntime_custom_ops import with_libraries

        job = replace(job, options=with_libraries(job.options, job.base_dir))
        self._job, self._sessions, self._placed = job, {}, set()
        self._runtime = runtime = OnnxRuntime(job.device, job.numerics, job.options)
        settings, versions = runtime.build, runtime.versions
        if job.pipeline is not None:
            from parity.worker.onnx_pipeline import OnnxPipeline

            self._pipeline = OnnxPipeline(
                job.pipeline, job.base_dir, self._sessions, runtime.device, job.numerics, job.components
            )
            settings, versions = settings | self._pipeline.settings, versions | self._pipeline.versions
        import onnx  # noqa: F401  # reads every file: its size is not the model's

        self._meter = Meter(on_gpu=runtime.device != "cpu")
        return Loaded(settings=settings, versions=versions, device=runtime.device_name, notes=runtime.notes)

    def _open(self, name: str) -> SessionOpened:
        if self._job is None or self._runtime is None:
            raise Unable("tool", "the candidate worker was not started")
        component = self._component(name)
        session = self._sessions[name] = self._runtime.open(component.onnx, name, self._job.save_optimized)
        session.casts_inputs = component.cast_inputs
        return SessionOpened(
            component=name,
            inputs=session.inputs,
            outputs=session.outputs,
            settings=self._runtime.settings(session),
            providers=session.providers,
            script=self._runtime.script,
            placement=session.placement,
        )

    def _run(self, job: RunCandidate) -> Ran:
        directory = Path(job.directory)
        # Files by the call's place: component names are the user's, and need not be fit for folders.
        folders = {(call.component, call.index): directory / f"call-{n}" for n, call in enumerate(job.calls)}
        start = time.perf_counter()
        with PeakMemory() as memory:
            outputs: tuple[TensorRecord, ...] | None = None
            done: dict[tuple[str, int], StageCall] = {}
            if self._pipeline is not None:
                chain, done = self._pipeline.run(job.inputs, job.calls, folders)
                outputs = write_outputs(directory / "pipeline", chain)
            calls = tuple(
                done.get((call.component, call.index))
                or self._run_alone(call, folders[call.component, call.index])
                for call in job.calls
            )
            free = tuple(self._run_freely(job.calls, directory))
        return Ran(
            calls=calls,
            outputs=outputs,
            seconds=time.perf_counter() - start,
            peak_rss_bytes=memory.rss_bytes,
            free=free,
            placements=tuple(self._placements(job.calls, job.case)),
        )

    def _run_freely(self, calls: tuple[StageCall, ...], directory: Path) -> Iterator[StageCall]:
        """Every loop, all steps of which are there, on the candidate's own state."""
        for component in self._job.components if self._job else ():
            if component.loop is None:
                continue
            own = [call for call in calls if call.component == component.name]
            for steps in whole_loops(own, component.loop):
                folder = directory / f"free-{calls.index(steps[0])}"
                yield from run_freely(self._session(component.name), component, steps, folder)

    def _placements(self, calls: tuple[StageCall, ...], case: str) -> Iterator[Placement]:
        """Of the components that have run for the first time: only a run has shapes."""
        for call in calls:
            if call.component in self._placed:
                continue
            self._placed.add(call.component)
            session = self._session(call.component)
            assert self._runtime is not None
            shapes = {tensor.name: tensor.shape for tensor in call.inputs}
            names = names_of(session, call.inputs, call.component)
            yield self._runtime.placement(
                session, {wanted: shapes[given] for wanted, given in names.items()}, case
            )

    def _run_alone(self, call: StageCall, folder: Path) -> StageCall:
        """One component on the very inputs that the reference's component had."""
        session = self._session(call.component)
        feeds = read_inputs(session, call.inputs, call.component)
        outputs = write_outputs(folder, session.run(feeds))
        return StageCall(component=call.component, index=call.index, inputs=call.inputs, outputs=outputs)

    def _diagnose(self, request: DiagnoseRuntime) -> DiagnosedRuntime:
        # Imports PyTorch, which other requests of a candidate do without.
        from parity.worker.candidate_diagnosis import OrtBackend, diagnose_call, workspace

        session = self._session(request.component)
        assert self._job is not None
        feeds = read_inputs(session, request.call.inputs, request.component)
        with workspace() as folder, reusing_memory():
            backend = OrtBackend(self._job.device, self._job.numerics, self._job.options, folder)
            return diagnose_call(request, session.path, feeds, backend)

    def _measure(self, job: MeasureLatency) -> Latency:
        if self._timed is None or self._timed.case != job.case:
            self._timed = self._prepared(job)
        assert self._meter is not None
        return self._meter.measure(self._timed, job.warmup, job.runs)

    def _prepared(self, job: MeasureLatency) -> Prepared:
        if self._pipeline is not None:
            return Prepared(job.case, *self._pipeline.prepare(job.inputs))
        session, component = self._session(MODEL), self._component(MODEL)
        if component.loop is not None:
            return Prepared(job.case, prepare_loop(session, component, job.calls), lambda: None)
        feeds = read_inputs(session, job.inputs.tensors, MODEL)
        return Prepared(job.case, session.prepare(feeds), lambda: None)

    def _component(self, name: str) -> ComponentJob:
        components = self._job.components if self._job else ()
        for component in components:
            if component.name == name:
                return component
        raise Unable("tool", f"the candidate has no component {name!r}")

    def _session(self, component: str) -> Session:
        if component not in self._sessions:
            raise Unable("tool", f"no session of component {component!r} was opened")
        return self._sessions[component]
