"""Runs plans in worker processes: who is asked what, when, and what becomes of a worker that dies.

`process` one worker with its limits, `side` a worker that is replaced when it dies, `suite` the order of
requests on both sides, `materializing`, `noise` and `timing` parts of it.
"""

from .suite import Execution, Progress

__all__ = ["Execution", "Progress"]
