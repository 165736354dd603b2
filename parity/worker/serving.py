"""The worker's end of the line: one JSON request a line in, one JSON reply a line out.

The line is a pair of pipes of its own. Standard output belongs to the user's code, which may print, so it
is joined to standard error, and that is a log file of the host's.
"""

from __future__ import annotations

import os
import signal
import threading
import traceback
from typing import BinaryIO, Protocol

import msgspec

from parity.errors import ParityError
from parity.records.outcomes import Answer, Failed, Reply
from parity.records.requests import Request
from parity.worker.problems import Unable


class Side(Protocol):
    """One side of the comparison: answers the requests that are its own."""

    def handle(self, request: Request) -> Answer:
        """Raises `Unable` when it can't."""
        ...


def serve(side: Side, requests: BinaryIO, replies: BinaryIO) -> None:
    """Answers until the host closes the line."""
    decoder = msgspec.json.Decoder(Request)
    for line in requests:
        replies.write(_encoded(answer(side, decoder.decode(line))) + b"\n")
        replies.flush()


def answer(side: Side, request: Request) -> Reply:
    """The side's answer, or what kept it from one. Nothing but an interrupt gets past here."""
    try:
        return side.handle(request)
    except Unable as error:
        return Failed(
            reason=error.reason,
            problem=error.problem,
            fix=error.fix,
            detail=error.detail,
            causes=error.causes,
            about=error.about,
        )
    except ParityError as error:
        return Failed(reason="input", problem=str(error), fix=error.fix, detail=traceback.format_exc())
    except MemoryError as error:
        return Failed(
            reason="model",
            problem=f"not enough memory: {error or 'an allocation was refused'}",
            fix="use smaller inputs or a machine with more memory",
            detail=traceback.format_exc(),
        )
    except SystemExit as error:
        return Failed(
            reason="user-code",
            problem=f"the code called sys.exit({error.code!r})",
            fix="return or raise instead: the gate can't judge a model that ends the process",
            detail=traceback.format_exc(),
        )
    except Exception as error:  # noqa: BLE001 - the host must hear of it, whatever it is
        return Failed(
            reason="tool",
            problem=f"{type(error).__name__} in the gate's own code: {error}",
            fix="please report this with the traceback",
            detail=traceback.format_exc(),
        )


def _encoded(reply: Reply) -> bytes:
    try:
        return msgspec.json.encode(reply)
    except TypeError as error:  # records are not checked when they are made, only when they are decoded
        return msgspec.json.encode(Failed(reason="tool", problem=f"an answer can't be sent: {error}"))


def die_with_the_host(lifeline: int) -> None:
    """Ends this process group when the host's end of `lifeline` closes, however the host ended."""

    def watch() -> None:
        os.read(lifeline, 1)  # nothing is ever written: this returns when the pipe closes
        os.killpg(os.getpgrp(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True, name="lifeline").start()
