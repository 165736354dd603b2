"""What a pipeline gets as `stages`, on either side: the components by name, to be called with tensors."""

from __future__ import annotations

from typing import NoReturn, TypeVar

from parity.worker.problems import Unable

S = TypeVar("S")


class NamedStages(dict[str, S]):
    """The stages by name. The first failure is kept: a pipeline that catches everything must not hide it."""

    failure: Unable | None = None

    def __missing__(self, name: object) -> NoReturn:
        raise self.failed(
            Unable(
                "specification",
                f"the pipeline asks for the stage {name!r}; the components are {', '.join(map(repr, self))}",
                fix="use the names under 'components'",
            )
        )

    def failed(self, error: Unable) -> Unable:
        """Keeps the first failure and gives this one back."""
        self.failure = self.failure or error
        return error
