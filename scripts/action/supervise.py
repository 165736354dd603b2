"""Runs one process to its end, also when the job is cancelled meanwhile."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType

GRACE_S = 6.0  # the runner kills a cancelled step 10 s after it asked it to end
_LOOK_S = 0.2


class Supervised:
    """The first SIGINT or SIGTERM goes to the process as SIGTERM; after `GRACE_S` it is killed.

    Args:
        kill: ends what the process may leave behind, such as its container; called in every case.
    """

    def __init__(self, kill: Callable[[], object]) -> None:
        self._kill = kill
        self._asked_at: float | None = None

    def run(self, command: Sequence[str], environ: Mapping[str, str], folder: Path) -> int:
        """The exit status; 128 + number where a signal ended the process or this one was told to end."""
        before = {number: signal.signal(number, self._told) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            # A session of its own: a signal to the group must not reach it twice, which would be a kill.
            process = subprocess.Popen(
                list(command),
                env=dict(environ),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
            return self._wait(process)
        finally:
            self._kill()
            for number, handler in before.items():
                signal.signal(number, handler)

    def _wait(self, process: subprocess.Popen[bytes]) -> int:
        passed_on = False
        while True:
            try:
                status = process.wait(_LOOK_S)
                return status if status >= 0 else 128 - status
            except subprocess.TimeoutExpired:
                pass
            if self._asked_at is None:
                continue
            if not passed_on:
                process.terminate()
                passed_on = True
            if time.monotonic() - self._asked_at > GRACE_S:
                process.kill()
                process.wait()
                return 128 + signal.SIGTERM

    def _told(self, _number: int, _frame: FrameType | None) -> None:
        if self._asked_at is None:
            self._asked_at = time.monotonic()
