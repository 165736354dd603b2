"""What `parity doctor` finds out about one thing."""

from __future__ import annotations

import msgspec


class Finding(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing that this machine has, or has not.

    Args:
        subject: what was looked at: ``PyTorch``, ``CUDAExecutionProvider``, ``cuda:0``.
        found: version, name, size; empty when there is nothing to say.
        problem: why it can't be used, one sentence without a full stop; empty when it can.
        fix: how to mend it.
    """

    subject: str
    found: str = ""
    problem: str = ""
    fix: str = ""
