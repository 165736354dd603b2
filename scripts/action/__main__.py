"""One step of action.yml: ``python3 -I scripts/action STEP``.

Standard library only, Python 3.9 or newer: this runs on a bare runner, before and after the container.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import gate
import preflight
import report
import verify
from messages import Stop, error, write_outputs
from settings import Inputs, Runner

STEPS = {"preflight": preflight.run, "verify": verify.run, "report": report.run, "gate": gate.run}


def main(arguments: list[str]) -> int:
    """Runs the step and returns its exit status; what a person can mend ends in one annotation."""
    if len(arguments) != 1 or arguments[0] not in STEPS:
        sys.stderr.write(f"usage: {Path(__file__).parent.name} {{{','.join(STEPS)}}}\n")
        return 2
    try:
        runner = Runner.read(os.environ)
    except Stop as stop:
        error(str(stop))
        return stop.status
    try:
        inputs = Inputs.read(os.environ)
    except Stop as stop:
        if arguments[0] == "report":
            report.nothing_ran(runner)
        return _ended(stop, runner)
    try:
        return STEPS[arguments[0]](inputs, runner)
    except Stop as stop:
        return _ended(stop, runner)


def _ended(stop: Stop, runner: Runner) -> int:
    error(str(stop))
    write_outputs(runner.outputs, {"problem": stop})
    return stop.status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
