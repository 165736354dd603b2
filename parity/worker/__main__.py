"""`python -m parity.worker SIDE REQUESTS REPLIES LIFELINE`: started by `parity.execution` alone.

The three numbers are inherited file descriptors.
"""

from __future__ import annotations

import os
import sys
import threading

from parity.registry import SIDES, resolve
from parity.worker.serving import die_with_the_host, serve


def main(arguments: list[str]) -> None:
    """Serves one side until the host closes the line."""
    side, *descriptors = arguments
    requests, replies, lifeline = map(int, descriptors)
    os.dup2(2, 1)
    for descriptor in (requests, replies, lifeline):
        os.set_inheritable(descriptor, False)  # processes of the user's code must not hold the line open
    die_with_the_host(lifeline)
    with os.fdopen(requests, "rb") as incoming, os.fdopen(replies, "wb") as outgoing:
        serve(resolve(SIDES[side])(), incoming, outgoing)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    finally:
        # Runtimes' teardown may hang or crash; everything of worth has been answered by now.
        sys.stdout.flush()
        sys.stderr.flush()
        if sys.exc_info()[0] is None and threading.main_thread() is threading.current_thread():
            os._exit(0)
