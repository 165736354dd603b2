"""When the module can't be evaluated in float64: a type of its own, never a float32 result."""

from __future__ import annotations


class Unknown(Exception):
    """`reference64` can't be had.

    Not a RuntimeError: a model that catches those around an operator must not swallow it by chance.

    Args:
        reason: what stands in the way, naming the operator or the module; one sentence without a full stop.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
