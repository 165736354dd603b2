"""How a check of the specification says what is wrong, in our words and not in pydantic's."""

from __future__ import annotations

from pydantic_core import PydanticCustomError

ERROR_TYPE = "parity"  # of pydantic's errors that carry our own words


def wrong(
    problem: str, fix: str, path: tuple[str | int, ...] = (), *, on_key: bool = False
) -> PydanticCustomError:
    """An error in our own words; `path` leads from the value to the part of it that is wrong."""
    # The template stays fixed: pydantic fills braces, and the words may hold some.
    own = {"problem": problem, "fix": fix, "path": path, "on_key": on_key}
    return PydanticCustomError(ERROR_TYPE, "{problem}", own)
