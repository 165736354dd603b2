"""One worker process: started in a session of its own, limited in time and memory, always ended whole."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Literal

import msgspec
import psutil

from parity.records.jobs import MEMORY_LIMIT
from parity.records.outcomes import Crashed, Failed, OutOfMemory, Reply, TimedOut
from parity.records.plan import Limits
from parity.records.requests import Request

SideName = Literal["reference", "onnx-reference", "saved", "candidate"]

_POLL_S = 0.05  # how often memory is looked at while a worker is busy
_PATIENCE_S = 2.0  # for a worker that was told to end
_TAIL_LINES, _TAIL_BYTES = 20, 8192
_REPLY_BYTES = 64 * 1024 * 1024  # far beyond any honest reply


class WorkerProcess:
    """A started worker. `request` is called from one thread at a time.

    Args:
        side: which side it serves.
        log: where its standard output and error go.
        limits: of every single request.
        environment: of the process; None inherits.
    """

    def __init__(
        self, side: SideName, log: Path, limits: Limits, environment: Mapping[str, str] | None = None
    ) -> None:
        self._limits, self._log = limits, log
        self._decoder = msgspec.json.Decoder(Reply)
        self._pending = b""
        requests_out, self._requests = os.pipe()
        self._replies, replies_in = os.pipe()
        lifeline_out, self._lifeline = os.pipe()
        theirs = (requests_out, replies_in, lifeline_out)
        try:
            with log.open("ab") as stderr:
                self._log_start = stderr.tell()
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "parity.worker", side, *map(str, theirs)],
                    stdin=subprocess.DEVNULL,
                    stdout=stderr,
                    stderr=stderr,
                    pass_fds=theirs,
                    start_new_session=True,
                    env=_with_limit(environment, limits),
                )
        finally:
            for descriptor in theirs:
                os.close(descriptor)
        self.alive = True

    def request(self, request: Request) -> Reply | Crashed | TimedOut | OutOfMemory:
        """Asks one thing and waits for the answer, a death, or a limit. Only an answer leaves it alive."""
        deadline = time.monotonic() + self._limits.timeout_s
        self._send(request)
        while b"\n" not in self._pending:
            if time.monotonic() > deadline:
                self.close(patience_s=0)
                return TimedOut(limit_s=self._limits.timeout_s, stderr_tail=self._tail())
            if (reached := self._memory_beyond_limit()) is not None:
                self.close(patience_s=0)
                return OutOfMemory(
                    limit_bytes=self._limits.memory_bytes or 0,
                    reached_bytes=reached,
                    stderr_tail=self._tail(),
                )
            ready, _, _ = select.select([self._replies], [], [], _POLL_S)
            if not ready:
                continue
            data = os.read(self._replies, 1 << 16)
            if not data:
                return self._death()
            self._pending += data
            if len(self._pending) > _REPLY_BYTES:
                return self._babble("it does not end")
        line, self._pending = self._pending.split(b"\n", 1)
        try:
            reply: Reply = self._decoder.decode(line)
        except msgspec.DecodeError as error:
            return self._babble(str(error))
        return reply

    def close(self, *, patience_s: float = _PATIENCE_S) -> None:
        """Ends the worker and every process that it started. May be called twice.

        Args:
            patience_s: how long an idle worker may take to end by itself.
        """
        if not self.alive:
            return
        self.alive = False
        os.close(self._requests)  # an idle worker ends when its line closes
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=patience_s)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        os.close(self._replies)
        os.close(self._lifeline)

    def kill(self) -> None:
        """Ends the worker at once, from any thread: a request under way reads it as a crash."""
        with suppress(ProcessLookupError, PermissionError):
            if self.alive:
                os.killpg(self._process.pid, signal.SIGKILL)

    def _send(self, request: Request) -> None:
        data = memoryview(msgspec.json.encode(request) + b"\n")
        with suppress(BrokenPipeError):  # it has died already: reading says how
            while data:
                data = data[os.write(self._requests, data) :]

    def _death(self) -> Crashed:
        """The line has closed: the process is dead, or as good as."""
        try:
            status = self._process.wait(timeout=_PATIENCE_S)
        except subprocess.TimeoutExpired:
            status = 0
        self.close(patience_s=0)
        return Crashed(
            signal=_signal_name(-status) if status < 0 else None,
            exit_status=status if status >= 0 else None,
            stderr_tail=self._tail(),
        )

    def _babble(self, problem: str) -> Failed:
        self.close(patience_s=0)
        return Failed(
            reason="tool", problem=f"a worker's answer can't be read: {problem}", detail=self._tail()
        )

    def _memory_beyond_limit(self) -> int | None:
        """Resident bytes of the worker with its children, if they are more than the limit allows."""
        limit = self._limits.memory_bytes
        if limit is None:
            return None
        total = 0
        with suppress(psutil.Error):
            worker = psutil.Process(self._process.pid)
            for process in (worker, *worker.children(recursive=True)):
                with suppress(psutil.Error):
                    total += process.memory_info().rss
        return total if total > limit else None

    def _tail(self) -> str:
        """The last lines that this worker wrote to standard output or error."""
        with self._log.open("rb") as log:
            end = log.seek(0, os.SEEK_END)
            log.seek(max(self._log_start, end - _TAIL_BYTES))
            text = log.read().decode("utf-8", "replace")
        return "\n".join(text.splitlines()[-_TAIL_LINES:])


def _with_limit(environment: Mapping[str, str] | None, limits: Limits) -> Mapping[str, str] | None:
    """A worker that is limited knows it, and keeps no memory for later."""
    if limits.memory_bytes is None:
        return environment
    own = os.environ if environment is None else environment
    return {**own, MEMORY_LIMIT: str(limits.memory_bytes)}


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal has no name
        return f"signal {number}"
