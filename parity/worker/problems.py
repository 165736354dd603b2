"""How a worker says that it can't go on: one exception, and the fence around the user's code."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from parity.records.diagnosis import Cause
from parity.records.outcomes import Reason


class Unable(Exception):
    """A side can't answer; becomes a `parity.records.outcomes.Failed`.

    Args:
        reason: decides the exit status; see `Failed`.
        problem: what is wrong, one sentence without a full stop.
        fix: how to mend it.
        detail: a library's own words or a traceback.
        causes: what is known to be behind it.
        about: the key of the specification that is wrong, dotted, where one is.
    """

    def __init__(
        self,
        reason: Reason,
        problem: str,
        *,
        fix: str = "",
        detail: str = "",
        causes: tuple[Cause, ...] = (),
        about: str = "",
    ) -> None:
        super().__init__(problem)
        self.reason, self.problem, self.fix, self.detail = reason, problem, fix, detail
        self.causes, self.about = causes, about


@contextmanager
def user_code(doing: str) -> Iterator[None]:
    """Turns whatever the user's code raises, `sys.exit` included, into `Unable("user-code", ...)`.

    Args:
        doing: what was going on, to be read after "while": ``building the model``.
    """
    try:
        yield
    except Unable:
        raise
    except SystemExit as error:
        raise Unable(
            "user-code",
            f"the code called sys.exit({error.code!r}) while {doing}",
            fix="return or raise instead: the gate can't judge a model that ends the process",
            detail=traceback.format_exc(),
        ) from error
    except Exception as error:
        message = str(error).strip() or "no message"
        raise Unable(
            "user-code",
            f"{type(error).__name__} while {doing}: {message}",
            detail=traceback.format_exc(),
        ) from error


def listed(names: Iterable[str]) -> str:
    """Names in quotes, for an error; ``none`` where there is none."""
    return ", ".join(repr(name) for name in names) or "none"
