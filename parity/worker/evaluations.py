"""Running something once more to learn about it: what does not end well is a reason, not an error."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

from parity.diagnosis import torch64
from parity.worker.problems import Unable

T = TypeVar("T")


def attempt(evaluation: Callable[[], T], done: str, whose: str, device: torch.device) -> T | str:
    """What an evaluation of the user's code gives, or why it gives nothing, in one sentence.

    Args:
        evaluation: what is to be done.
        done: the same in words, after "when it was": ``evaluated in float64``.
        whose: names the model or pipeline.
        device: that it runs on.
    """
    try:
        return evaluation()
    except torch64.Unknown as error:
        return error.reason
    except Unable as error:
        return error.problem
    except SystemExit as error:
        return f"{whose} called sys.exit({error.code!r}) when it was {done}"
    except (MemoryError, torch.OutOfMemoryError):
        return _no_room(done, whose, device)
    except RuntimeError as error:
        if "DefaultCPUAllocator" not in str(error):
            raise
        return _no_room(done, whose, device)


def safely(look: Callable[[], T], failed: Callable[[str], T]) -> T:
    """What a look into a difference gives; of one that failed, what `failed` makes of the reason.

    Models and files can be odd in ways that nobody thought of, and a budget is worth having without a cause.
    """
    try:
        return look()
    except Exception as error:  # noqa: BLE001 - see above
        said = next(iter(str(error).splitlines()), "")
        return failed(f"a part of the diagnosis failed: {type(error).__name__}: {said}")


def _no_room(done: str, whose: str, device: torch.device) -> str:
    return f"{device} has not enough memory for {whose}, {done}"
