"""The order of requests: both sides start side by side, the candidate follows the reference case by case.

    reference  load | inputs, run 0 | export | inputs, run 1 | inputs, run 2 |       | latency |
    candidate  start .............. |        | open, run 0   | run 1         | run 2 |         | latency |

Noise floors come last, where a tolerance needs them. What a diagnosis asks for comes after the verdicts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from msgspec.structs import replace

from parity.execution.loading import load_reference, reference_role, start_candidate
from parity.execution.materializing import Sets, Wanted, materialize
from parity.execution.noise import measure_noise, needs_noise
from parity.execution.side import Side
from parity.execution.timing import with_latencies, worth_timing
from parity.records.jobs import ComponentJob
from parity.records.outcomes import (
    Diagnosed,
    DiagnosedRuntime,
    Exported,
    Loaded,
    Ran,
    SessionOpened,
    Unanswered,
)
from parity.records.plan import ProviderPlan, SuitePlan, case_id, selects, selects_one
from parity.records.requests import (
    Diagnose,
    DiagnoseRuntime,
    ExportOnnx,
    OpenSession,
    RunCandidate,
    RunReference,
)
from parity.records.runs import ComparisonRun, SetRun
from parity.records.sides import Comparison
from parity.records.tensors import InputSet, StageCall

Progress = Callable[[str, int, int | None], None]
"""Called with what is going on, the input sets done, and how many there are, when that is known."""


class Execution:
    """One comparison of one suite, whatever happens to its workers; they live until the `with` block ends.

    Args:
        plan: the suite.
        comparison: one of its comparisons.
        directory: for tensors and logs; must exist.
        select: glob over case ids; an input set none of whose cases match is left out.
        progress: told what is going on; called from several threads.
    """

    def __init__(
        self, plan: SuitePlan, comparison: Comparison, directory: Path, select: str, progress: Progress
    ) -> None:
        self._plan, self._comparison, self._directory = plan, comparison, directory
        self._select, self._progress = select, progress
        self._components = comparison.candidate.components(plan.components)
        self._reference = Side(reference_role(comparison), directory / "reference.log", plan.limits)
        self._candidate = Side("candidate", directory / "candidate.log", plan.limits)
        self._exports: dict[str, Exported | Unanswered] = {}
        self._sessions: dict[str, SessionOpened | Unanswered] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.abandon()
        with self._reference, self._candidate:
            pass  # both end, also when one of them can't be ended

    def run(self) -> ComparisonRun:
        """Runs every selected input set on both sides."""
        with ThreadPoolExecutor(1, "candidate") as beside:
            try:
                return self._run(beside)
            except BaseException:
                self.abandon()
                raise

    def run_again(self, run: SetRun, calls: tuple[StageCall, ...]) -> Ran | Unanswered:
        """The candidate's second run of an input set: the chain, if there is one, and these calls."""
        assert isinstance(run.inputs, InputSet)
        directory = str(self._directory / "candidate-again" / run.id)
        request = RunCandidate(case=run.id, inputs=run.inputs, calls=calls, directory=directory)
        return self._candidate.ask(request, Ran)

    def diagnose(self, request: Diagnose) -> Diagnosed | Unanswered:
        """Why the outputs of one call differ."""
        return self._reference.ask(request, Diagnosed)

    def diagnose_runtime(self, request: DiagnoseRuntime) -> DiagnosedRuntime | Unanswered:
        """Where ONNX Runtime starts to differ in one call, and why."""
        return self._candidate.ask(request, DiagnosedRuntime)

    def abandon(self) -> None:
        """Nobody waits for an answer under way, after an interrupt most likely; from any thread."""
        self._reference.abandon()
        self._candidate.abandon()

    def _run(self, beside: ThreadPoolExecutor) -> ComparisonRun:
        began = time.monotonic()
        self._candidate.start()
        self._reference.start()
        starting = beside.submit(self._start_candidate)
        self._progress(f"{self._comparison.text}: loading the reference", 0, None)
        reference = self._reference.set_up(load_reference(self._plan, self._comparison), Loaded)
        sets: Sets | Unanswered = iter(())
        if isinstance(reference, Loaded):
            wanted = Wanted(self._selected, only_one=selects_one(self._select))
            sets = materialize(self._plan.inputs, self._directory / "inputs", self._reference, wanted)
        blocked = sets if isinstance(sets, Unanswered) else None
        runs = [] if isinstance(sets, Unanswered) else self._run_all(sets, starting, beside)
        return ComparisonRun(
            comparison=self._comparison,
            reference=reference,
            candidate=starting.result(),
            sessions=self._sessions,
            exports=self._exports,
            sets=tuple(runs),
            blocked=blocked,
            seconds=time.monotonic() - began,
        )

    def _start_candidate(self) -> Loaded | Unanswered:
        started = self._candidate.set_up(start_candidate(self._plan, self._comparison), Loaded)
        if isinstance(started, Loaded):
            self._open(c for c in self._components if c.export is None)
        return started

    def _run_all(
        self, sets: Sets, starting: Future[Loaded | Unanswered], beside: ThreadPoolExecutor
    ) -> list[SetRun]:
        """The reference runs here, the candidate one case behind it in the other thread."""
        pending: list[Future[SetRun]] = []
        total = None
        if not isinstance(self._plan.inputs, ProviderPlan):
            total = sum(self._selected(planned.id) for planned in self._plan.inputs)
        for done, (name, inputs) in enumerate(sets):
            self._progress(f"{self._comparison.text}: {name}", done, total)
            run = SetRun(id=name, inputs=inputs)
            if isinstance(inputs, InputSet):
                run = self._run_reference(run, inputs)
            if isinstance(run.reference, Ran):
                self._export_and_open(name, beside)
            pending.append(beside.submit(self._run_candidate, run, starting))
        runs = [future.result() for future in pending]
        return list(self._measure_noise(list(self._time(runs))))

    def _run_reference(self, run: SetRun, inputs: InputSet) -> SetRun:
        started = time.monotonic()
        directory = self._directory / "reference" / run.id
        answer = self._reference.ask(RunReference(case=run.id, inputs=inputs, directory=str(directory)), Ran)
        return replace(run, reference=answer, seconds=time.monotonic() - started)

    def _export_and_open(self, case: str, beside: ThreadPoolExecutor) -> None:
        """After the first case that ran: its recorded inputs are the exporter's example."""
        due = [c for c in self._components if c.export is not None and c.name not in self._exports]
        for component in due:
            self._progress(f"{self._comparison.text}: exporting {component.name}", 0, None)
            request = ExportOnnx(component=component.name, case=case)
            self._exports[component.name] = self._reference.ask(request, Exported)
        exported = [c for c in due if isinstance(self._exports[c.name], Exported)]
        if exported:
            beside.submit(self._open, exported)

    def _open(self, components: Iterator[ComponentJob] | list[ComponentJob]) -> None:
        for component in components:
            request = OpenSession(component=component.name)
            self._sessions[component.name] = self._candidate.set_up(request, SessionOpened)

    def _run_candidate(self, run: SetRun, starting: Future[Loaded | Unanswered]) -> SetRun:
        if not self._candidate_ready(starting):
            return run
        if not isinstance(run.reference, Ran) or not isinstance(run.inputs, InputSet):
            return run
        started = time.monotonic()
        request = RunCandidate(
            case=run.id,
            inputs=run.inputs,
            calls=run.reference.calls,
            directory=str(self._directory / "candidate" / run.id),
        )
        answer = self._candidate.ask(request, Ran)
        return replace(run, candidate=answer, seconds=run.seconds + time.monotonic() - started)

    def _candidate_ready(self, starting: Future[Loaded | Unanswered]) -> bool:
        opened = [self._sessions.get(component.name) for component in self._components]
        return isinstance(starting.result(), Loaded) and all(isinstance(s, SessionOpened) for s in opened)

    def _time(self, runs: list[SetRun]) -> Iterator[SetRun]:
        """Adds the latencies of both sides to the input sets that are worth timing."""
        due = worth_timing(self._plan, runs)
        for run in runs:
            if run.id not in due:
                yield run
                continue
            self._progress(
                f"{self._comparison.text}: measuring the latency of {run.id}", len(runs), len(runs)
            )
            yield with_latencies(run, self._plan.latency, self._reference, self._candidate)

    def _measure_noise(self, runs: list[SetRun]) -> Iterator[SetRun]:
        """Adds the noise floors that tolerances are multiples of, once nothing is left to run in float32.

        What user code caches outside of its modules while it is evaluated in float64 can't be taken back.
        """
        if not any(needs_noise(self._plan, subject) for subject in self._plan.subjects):
            yield from runs
            return
        for done, run in enumerate(runs):
            self._progress(f"{self._comparison.text}: noise floor of {run.id}", done, len(runs))
            yield replace(run, noise=measure_noise(self._plan, run, self._reference))

    def _selected(self, input_set: str) -> bool:
        return any(
            selects(self._select, case_id(self._plan.name, self._comparison.label, input_set, subject))
            for subject in self._plan.subjects
        )
