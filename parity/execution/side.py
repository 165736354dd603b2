"""A side of the comparison as the suite sees it: it outlives its workers.

A worker that dies takes down the request it was busy with, nothing else. The next request starts another
worker, which first repeats the set-up that the dead one had been through.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from parity.execution.process import SideName, WorkerProcess
from parity.records.outcomes import Answer, Crashed, Failed, OutOfMemory, TimedOut, Unanswered
from parity.records.plan import Limits
from parity.records.requests import Request

A = TypeVar("A", bound=Answer)


class Side:
    """Asks the worker of one side; use it as a context manager, so that nothing is left running."""

    def __init__(self, name: SideName, log: Path, limits: Limits) -> None:
        self._name: SideName = name
        self._log, self._limits = log, limits
        self._worker: WorkerProcess | None = None
        self._set_up: list[Request] = []
        self._abandoned = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._worker is not None:
            self._worker.close()

    def abandon(self) -> None:
        """Kills the worker and answers nothing more; may be called from any thread."""
        self._abandoned = True
        if self._worker is not None:
            self._worker.kill()

    def start(self) -> None:
        """Starts a worker where none is alive, so that it is warm when it is asked."""
        if self._worker is None or not self._worker.alive:
            environment = {**os.environ, "PYTHONUNBUFFERED": "1"}  # a dying worker's last words count
            self._worker = WorkerProcess(self._name, self._log, self._limits, environment)

    def set_up(self, request: Request, expected: type[A]) -> A | Unanswered:
        """Asks for something that every later worker of this side needs too."""
        answer = self.ask(request, expected)
        if isinstance(answer, expected):
            self._set_up.append(request)
        return answer

    def ask(self, request: Request, expected: type[A]) -> A | Unanswered:
        """The answer, or why there is none. Starts a worker where none is alive."""
        if self._abandoned:
            return Failed(reason="tool", problem="the run was ended before this was asked")
        if self._worker is None or not self._worker.alive:
            self.start()
            for earlier in self._set_up:
                repeated = self._request(earlier)
                if isinstance(repeated, Failed | Crashed | TimedOut | OutOfMemory):
                    return repeated
        reply = self._request(request)
        if isinstance(reply, expected | Failed | Crashed | TimedOut | OutOfMemory):
            return reply
        return Failed(reason="tool", problem=f"the worker answered {request!r} with {reply!r}")

    def _request(self, request: Request) -> Answer | Unanswered:
        assert self._worker is not None
        return self._worker.request(request)
