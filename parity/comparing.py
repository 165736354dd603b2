"""The comparisons of a suite, in their order; those on GPUs of their own run side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from parity.diagnosing import diagnose_cases
from parity.execution import Execution, Progress
from parity.records.plan import SuitePlan
from parity.records.results import CaseResult
from parity.records.runs import ComparisonRun
from parity.records.sides import Comparison

Judge = Callable[[ComparisonRun], list[CaseResult]]


def waves(plan: SuitePlan) -> tuple[tuple[Comparison, ...], ...]:
    """Comparisons of a suite that may run at once, one group after the other; the order stays.

    Only what runs on GPUs alone has company, and no two of a group share one: the latencies of one would be
    the other's, and so would the memory. The CPU is one device that everything shares. A suite that exports
    has one file for all of its comparisons to write, so there it is one at a time.
    """
    alone = any(component.export is not None for component in plan.components)
    grouped: list[list[Comparison]] = []
    taken: set[str] = set()
    for comparison in plan.comparisons:
        devices = {comparison.reference.device, comparison.candidate.device}
        if not grouped or alone or "cpu" in devices | taken or devices & taken:
            grouped.append([])
            taken = set()
        grouped[-1].append(comparison)
        taken |= devices
    return tuple(tuple(group) for group in grouped)


class UnderWay:
    """One comparison, from its first request to its diagnosis.

    `run` is None until both sides have run; `cases` are empty until they are judged, and have no diagnosis
    until `finish` comes back.

    Args:
        plan: the suite.
        comparison: one of its comparisons.
        directory: for its tensors and logs; must exist.
        select: glob over case ids.
        judge: makes cases of what ran.
        progress: told what is going on; called from several threads.
    """

    def __init__(
        self,
        plan: SuitePlan,
        comparison: Comparison,
        directory: Path,
        select: str,
        judge: Judge,
        progress: Progress,
    ) -> None:
        self.comparison = comparison
        self.run: ComparisonRun | None = None
        self.cases: list[CaseResult] = []
        self._plan, self._judge, self._progress = plan, judge, progress
        self._execution = Execution(plan, comparison, directory, select, progress)
        self._abandoned = False

    def finish(self) -> None:
        """Runs, judges and diagnoses it."""
        with self._execution as execution:
            run = execution.run()
            if self._abandoned:  # what is missing in it says nothing about the models
                return
            self.run = run
            done = len(run.sets)
            self._progress(f"{self._plan.name} on {self.comparison.text}: comparing", done, done)
            self.cases = self._judge(run)
            self.cases = diagnose_cases(self._plan, run, self.cases, execution, self._progress)

    def abandon(self) -> None:
        """Ends it from another thread; cases that were judged by then stay."""
        self._abandoned = True
        self._execution.abandon()


def finish_together(under_way: Sequence[UnderWay]) -> None:
    """Finishes comparisons side by side; all of them end when one raises, or when this is interrupted."""
    if len(under_way) == 1:
        under_way[0].finish()
        return
    with ThreadPoolExecutor(len(under_way), "comparison") as pool:
        try:
            for future in [pool.submit(each.finish) for each in under_way]:
                future.result()
        except BaseException:
            for each in under_way:
                each.abandon()
            raise
