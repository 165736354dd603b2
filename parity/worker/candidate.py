"""The candidate side: ONNX files in ONNX Runtime, each component alone and the pipeline as a whole."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from parity.artifacts import Array, read_tensor, write_tensor
from parity.records.jobs import (
    MODEL,
    DiagnoseRuntime,
    MeasureLatency,
    OpenSession,
    Request,
    RunCandidate,
    StageCall,
    StartCandidate,
)
from parity.records.outcomes import Answer, DiagnosedRuntime, Latency, Loaded, Ran, SessionOpened
from parity.records.placement import Placement
from parity.records.tensors import TensorRecord
from parity.worker.casting import cast_feeds
from parity.worker.problems import Unable
from parity.worker.profiling import PeakMemory, time_runs

if TYPE_CHECKING:
    from parity.worker.backends.onnxruntime import OnnxRuntime
    from parity.worker.backends.onnxruntime_session import Session
    from parity.worker.onnx_stages import OnnxPipeline


class CandidateSide:
    """Answers the requests of a candidate worker. PyTorch is imported for a pipeline or for CUDA only."""

    def __init__(self) -> None:
        self._job: StartCandidate | None = None
        self._runtime: OnnxRuntime | None = None
        self._pipeline: OnnxPipeline | None = None
        self._sessions: dict[str, Session] = {}
        self._placed: set[str] = set()  # components whose placement has been answered

    def handle(self, request: Request) -> Answer:
        """Raises `Unable` when there is no answer."""
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
            from parity.worker.onnx_stages import OnnxPipeline

            self._pipeline = OnnxPipeline(
                job.pipeline, job.base_dir, self._sessions, runtime.device, job.numerics
            )
            settings, versions = settings | self._pipeline.settings, versions | self._pipeline.versions
        return Loaded(settings=settings, versions=versions, device=runtime.device_name, notes=runtime.notes)

    def _open(self, name: str) -> SessionOpened:
        if self._job is None or self._runtime is None:
            raise Unable("tool", "the candidate worker was not started")
        component = next((one for one in self._job.components if one.name == name), None)
        if component is None:
            raise Unable("tool", f"the candidate has no component {name!r}")
        session = self._sessions[name] = self._runtime.open(component.onnx, name, self._job.save_optimized)
        session.casts_inputs = component.cast_inputs
        return SessionOpened(
            component=name,
            inputs=session.inputs,
            outputs=session.outputs,
            settings=self._runtime.settings(session),
            providers=session.providers,
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
        return Ran(
            calls=calls,
            outputs=outputs,
            seconds=time.perf_counter() - start,
            peak_rss_bytes=memory.rss_bytes,
            placements=tuple(self._placements(job.calls, job.case)),
        )

    def _placements(self, calls: tuple[StageCall, ...], case: str) -> Iterator[Placement]:
        """Of the components that have run for the first time: only a run has shapes."""
        for call in calls:
            if call.component in self._placed:
                continue
            self._placed.add(call.component)
            session = self._session(call.component)
            assert self._runtime is not None
            shapes = {tensor.name: tensor.shape for tensor in call.inputs}
            names = _names(session, call.inputs, call.component)
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
        with workspace() as folder:
            backend = OrtBackend(self._job.device, self._job.numerics, self._job.options, folder)
            return diagnose_call(request, session.path, feeds, backend)

    def _measure(self, job: MeasureLatency) -> Latency:
        if self._pipeline is not None:
            run, synchronize = self._pipeline.prepare(job.inputs)
            return time_runs(run, synchronize, job.warmup, job.runs, job.budget_s)
        session = self._session(MODEL)
        run = session.prepare(read_inputs(session, job.inputs.tensors, MODEL))
        return time_runs(run, lambda: None, job.warmup, job.runs, job.budget_s)

    def _session(self, component: str) -> Session:
        if component not in self._sessions:
            raise Unable("tool", f"no session of component {component!r} was opened")
        return self._sessions[component]


def read_inputs(session: Session, tensors: tuple[TensorRecord, ...], component: str) -> dict[str, Array]:
    """The saved tensors by the names of the session's inputs."""
    names = _names(session, tensors, component)
    by_name = {tensor.name: read_tensor(tensor) for tensor in tensors}
    feeds = {wanted: by_name[given] for wanted, given in names.items()}
    return cast_feeds(feeds, session.inputs) if session.casts_inputs else feeds


def _names(session: Session, tensors: tuple[TensorRecord, ...], component: str) -> dict[str, str]:
    whose = "the model" if component == MODEL else f"component {component!r}"
    return session.names_for([tensor.name for tensor in tensors], whose)


def write_outputs(folder: Path, outputs: Mapping[str, Array]) -> tuple[TensorRecord, ...]:
    """Saves outputs in a folder, in their order."""
    return tuple(write_tensor(folder, name, array) for name, array in outputs.items())
