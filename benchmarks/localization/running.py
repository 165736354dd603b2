"""Has the cases done: a process for each combination, started anew with the rest after a crash or timeout."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import msgspec

from .cases import Case, Combination, Finished, Message, Outcome, Started, Status

SETUP_S = 300.0  # importing, exporting: before a worker turns to its first case
_ENTRY = Path(__file__).parents[1] / "localization.py"
_TAIL = 600  # characters of a worker's standard error that tell why it died

Command = Sequence[str]
WORKER: Command = (sys.executable, str(_ENTRY), "--worker")


def run_all(
    planned: dict[Combination, list[Case]],
    report: Callable[[Outcome], None],
    *,
    jobs: int,
    timeout_s: float,
    command: Command = WORKER,
) -> None:
    """Does all cases, `jobs` combinations at a time.

    Args:
        planned: what each worker has to do, in order.
        report: told of every outcome as it comes, by several threads, one at a time.
        jobs: how many processes there are at once.
        timeout_s: for one case.
        command: starts a worker.
    """
    lock = threading.Lock()

    def locked(outcome: Outcome) -> None:
        with lock:
            report(outcome)

    with ThreadPoolExecutor(jobs) as pool:
        # The long ones first, so that none is left over at the end.
        due = sorted(filter(None, planned.values()), key=len, reverse=True)
        for done in [pool.submit(_combination, cases, locked, timeout_s, command) for cases in due]:
            done.result()


def _combination(
    cases: list[Case], report: Callable[[Outcome], None], timeout_s: float, command: Command
) -> None:
    """All cases of one combination, with as many workers as it takes."""
    while cases:
        finished, failure = _one_worker(cases, report, timeout_s, command)
        cases = cases[finished:]
        if failure is not None:
            # A worker that got nowhere will not do so the next time either.
            lost, cases = (cases[:1], cases[1:]) if failure.case is not None else (cases, [])
            for case in lost:
                report(Outcome(case=case, status=failure.status, problem=failure.problem))


class _Failure(msgspec.Struct):
    """What ended a worker early."""

    status: Status
    problem: str
    case: Case | None  # that was under way


def _one_worker(
    cases: list[Case], report: Callable[[Outcome], None], timeout_s: float, command: Command
) -> tuple[int, _Failure | None]:
    """How many cases one worker finished, and what ended it before the last."""
    finished, under_way = 0, None
    with _started(cases, command) as (messages, problem):
        while finished < len(cases):
            limit = SETUP_S if under_way is None and finished == 0 else timeout_s
            try:
                message = messages.get(timeout=limit)
            except queue.Empty:
                return finished, _Failure("timed-out", f"no answer within {limit:g} s", under_way)
            match message:
                case Started(case):
                    under_way = case
                case Finished(outcome):
                    finished, under_way = finished + 1, None
                    report(outcome)
                case None:
                    return finished, _Failure("crashed", problem(), under_way)
    return finished, None


@contextmanager
def _started(
    cases: list[Case], command: Command
) -> Iterator[tuple[queue.Queue[Message | None], Callable[[], str]]]:
    """A worker at work: its messages, None after the last, and how it ended. Killed on the way out."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=environment,
            start_new_session=True,
        )
        assert process.stdin
        assert process.stdout
        messages: queue.Queue[Message | None] = queue.Queue()
        reader = threading.Thread(target=_read, args=(process.stdout, messages), daemon=True)
        reader.start()

        def problem() -> str:
            status = process.wait()
            log.seek(0)
            tail = log.read().decode(errors="replace")[-_TAIL:].strip()
            return f"ended with {status}: {tail}"

        try:
            with suppress(BrokenPipeError):  # it died at once: its end is read below
                process.stdin.write(msgspec.json.encode(cases) + b"\n")
                process.stdin.close()
            yield messages, problem
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            reader.join()
            process.stdout.close()


def _read(stream: BinaryIO, messages: queue.Queue[Message | None]) -> None:
    """Puts each line; one that can't be read ends the worker's work like its death."""
    decoder = msgspec.json.Decoder(Message)
    try:
        for line in stream:
            messages.put(decoder.decode(line))
    except msgspec.DecodeError as error:
        print(f"a worker's answer can't be read: {error}", file=sys.stderr)
    finally:
        messages.put(None)
