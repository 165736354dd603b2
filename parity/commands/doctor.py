"""`parity doctor`: what this machine has, and whether the gate can use it."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Sequence

import msgspec

from parity import __version__, driver
from parity.commands.rendering import green, prepare, wants_colour
from parity.errors import ExitCode
from parity.records.inspection import Finding
from parity.reports.escaping import visible

_LIMIT_S = 180.0  # a first import of PyTorch from a cold disk takes its time
_TEXT_LIMIT = 1_000


def run(devices: Sequence[str] | None) -> ExitCode:
    """Prints what was found on stdout, one line each, with the reason where something can't be used.

    Args:
        devices: that must be there; None asks for the CPU, so for both frameworks.

    Returns:
        `PASSED` when both sides can use all of `devices`, else `UNJUDGED`.
    """
    prepare(sys.stdout)
    wanted = tuple(dict.fromkeys(devices or ("cpu",)))
    _show(Finding(subject="parity", found=f"{__version__}, Python {platform.python_version()}"))
    _show(Finding(subject="machine", found=f"{platform.platform()}, {os.cpu_count()} cores"))
    for finding in _driver(asked=any(device.startswith("cuda") for device in wanted)):
        _show(finding)
    found = inspect(wanted)
    for finding in found.values():
        _show(finding)
    usable = all(device in found and not found[device].problem for device in wanted)
    return ExitCode.PASSED if usable else ExitCode.UNJUDGED


def inspect(devices: Sequence[str]) -> dict[str, Finding]:
    """What the frameworks find, by subject; loaded in a process of their own, which may crash or hang."""
    command = [sys.executable, "-m", "parity.worker.inspection", *devices]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_LIMIT_S, check=False)
        lines, end = done.stdout, f"the inspection ended with exit status {done.returncode}"
        told = done.stderr.decode("utf-8", "replace").strip()
    except subprocess.TimeoutExpired as expired:
        lines, end, told = expired.stdout or b"", f"the inspection took more than {_LIMIT_S:g} s", ""
    found: dict[str, Finding] = {}
    for line in lines.splitlines():
        finding = msgspec.json.decode(line, type=Finding)
        found[finding.subject] = finding
    for device in devices:  # it did not get so far
        words = told.splitlines()[-1] if told else ""
        found.setdefault(device, Finding(subject=device, problem=f"{end}: {words}" if words else end))
    return found


def _driver(*, asked: bool) -> list[Finding]:
    """The driver and its GPUs. That there is none is a problem only to someone who asked for one."""
    have = driver.find()
    supports = f"CUDA up to {have.cuda}" if have.cuda else ""
    text = ", ".join(part for part in (have.version, supports) if part)
    if have.problem and not asked and not text:
        return [Finding(subject="NVIDIA driver", found=f"none: {have.problem}")]
    gpus = [Finding(subject=f"GPU {index}", found=gpu) for index, gpu in enumerate(have.gpus)]
    return [Finding(subject="NVIDIA driver", found=text, problem=have.problem, fix=have.fix), *gpus]


def _show(finding: Finding) -> None:
    colour = wants_colour(sys.stdout)
    mark = "no" if finding.problem else green("ok", colour=colour)
    text = "; ".join(part for part in (finding.found, finding.problem) if part)
    print(f"{mark}  {visible(finding.subject):<26} {visible(text, _TEXT_LIMIT)}", flush=True)  # noqa: T201
    if finding.fix:
        print(f"    {'':<26} fix: {visible(finding.fix, _TEXT_LIMIT)}", flush=True)  # noqa: T201
