"""The one exception family. Each class knows the exit status that it ends the program with."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """What the exit status of every command means."""

    PASSED = 0
    FAILED = 1
    WRONG_SPEC = 2
    UNJUDGED = 3
    TOOL_DEFECT = 4


# A proven difference outranks what could not be judged: a retry must not hide it.
_WORST_FIRST = (
    ExitCode.TOOL_DEFECT,
    ExitCode.FAILED,
    ExitCode.WRONG_SPEC,
    ExitCode.UNJUDGED,
    ExitCode.PASSED,
)


def worst(codes: list[ExitCode]) -> ExitCode:
    """The one exit status that stands for many. Nothing at all is `UNJUDGED`, never a pass."""
    return min(codes, key=_WORST_FIRST.index) if codes else ExitCode.UNJUDGED


class ParityError(Exception):
    """An error that is meant to be read: where, what, and how to mend it.

    Args:
        problem: what is wrong, in one sentence without a full stop.
        at: the place, such as ``parity.yml:14:9`` or a file's path; may be empty.
        fix: what the reader can do about it; may be empty.
    """

    exit_code: ClassVar[ExitCode] = ExitCode.TOOL_DEFECT

    def __init__(self, problem: str, *, at: str = "", fix: str = "") -> None:
        self.problem, self.at, self.fix = problem, at, fix
        place = f"{at}: " if at else ""
        mend = f"\n  fix: {fix}" if fix else ""
        super().__init__(f"{place}{problem}{mend}")


class SpecError(ParityError):
    """The specification, or an argument of the command line, is wrong."""

    exit_code = ExitCode.WRONG_SPEC


class SpecErrors(SpecError):
    """Several errors of the specification at once; each of `errors` can be read by itself."""

    def __init__(self, errors: Sequence[SpecError]) -> None:
        self.errors = tuple(errors)
        first = self.errors[0]
        super().__init__(first.problem, at=first.at, fix=first.fix)
        self.args = ("\n".join(map(str, self.errors)),)


class CannotJudge(ParityError):
    """A comparison could not be made: nothing is known about the model's parity."""

    exit_code = ExitCode.UNJUDGED
