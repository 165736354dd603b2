"""What a process holds of the GPUs, as their driver counts it: weights, arenas, workspaces and the context.

PyTorch counts what its own allocator gave out, and ONNX Runtime tells nothing: only the driver counts both
sides alike.
"""

from __future__ import annotations

import subprocess

_COMMAND = ("nvidia-smi", "--query-compute-apps=pid,used_memory", "--format=csv,noheader,nounits")
_LIMIT_S = 20.0


def device_bytes(pid: int) -> int | None:
    """Bytes of the process on all GPUs; None where the driver does not tell.

    In a container it knows processes by the numbers that they have on the host, unless that shares them.
    """
    try:
        done = subprocess.run(_COMMAND, capture_output=True, text=True, timeout=_LIMIT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return bytes_of(done.stdout, pid) if done.returncode == 0 else None


def bytes_of(listing: str, pid: int) -> int | None:
    """The sum over the lines of one process in what nvidia-smi lists: ``4711, 512``, in MiB."""
    found = None
    for line in listing.splitlines():
        owner, _, size = line.partition(",")
        if owner.strip() == str(pid) and size.strip().isdecimal():
            found = (found or 0) + int(size) * 2**20
    return found
