#!/usr/bin/env python3
"""Container start: arguments and PARITY_* variables become one `parity` command, which is looked after here.

    docker run --rm -v "$PWD:/workspace" IMAGE                        parity run parity.yml
    docker run --rm -v "$PWD:/workspace" IMAGE model/parity.yml       parity run model/parity.yml
    docker run --rm IMAGE doctor                                      parity doctor

docs/container.md has every variable. Exit status as `parity` has it. Needs the standard
library, and of parity the modules that need no more than that.
"""

from __future__ import annotations

import getpass
import os
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType

from parity import driver, requirements
from parity.errors import CannotJudge, ParityError, SpecError

GRACE_S = 5.0  # for parity to end its workers and write: GitHub's runner kills a cancelled job after 10 s
_RUNS = ("run", "diagnose")  # the commands that take the gate's options
_OPTIONS = ("DEVICES", "REPORT_DIR", "DIAGNOSE", "CASE")  # which have a variable each


@dataclass(frozen=True)
class Settings:
    """The PARITY_* variables; an empty one counts as unset.

    Args:
        workspace: working folder; the user's code is imported from there.
        specs: specification files or patterns of such, for a start without arguments.
        options: of the gate, as arguments; those of the command line come after them and win.
        devices: as `--devices` takes them, or "".
        requirements: the user's requirements file, or None.
        cache: where installed requirements are kept.
        wants_gpu: whether the run makes no sense without a GPU.
    """

    workspace: Path
    specs: tuple[str, ...]
    options: tuple[str, ...]
    devices: str
    requirements: Path | None
    cache: Path
    wants_gpu: bool

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Settings:
        """The settings in `environment`.

        Raises:
            SpecError: one can't be read.
        """

        def get(name: str) -> str:
            return environment.get(f"PARITY_{name}", "").strip()

        def words(name: str) -> list[str]:
            try:
                return shlex.split(get(name), comments=True)
            except ValueError as error:
                raise SpecError(str(error), at=f"PARITY_{name}", fix="close every quote") from error

        workspace = Path(get("WORKSPACE") or Path.cwd())
        options = {f"--{name.lower().replace('_', '-')}": get(name) for name in _OPTIONS}
        given = [part for name, value in options.items() if value for part in (name, value)]
        cache = get("CACHE_DIR") or Path(tempfile.gettempdir()) / f"parity-cache-{os.getuid()}"
        return cls(
            workspace=workspace,
            specs=tuple(words("SPEC")),
            options=(*given, *words("EXTRA_ARGS")),
            devices=get("DEVICES"),
            requirements=workspace / get("REQUIREMENTS") if get("REQUIREMENTS") else None,
            cache=workspace / cache,
            wants_gpu=get("GPUS") not in {"", "none"} or "cuda" in get("DEVICES"),
        )


def command(arguments: Sequence[str], settings: Settings) -> list[str]:
    """The arguments of `parity`.

    A specification or an option in the first place means `run`; without arguments the variables count.

    Raises:
        SpecError: a pattern matches no file.
    """
    given = list(arguments) or ["run"]
    if given[0] not in {"-h", "--help", "--version"} and _is_no_command(given[0]):
        given.insert(0, "run")
    name, rest = given[0], given[1:]
    if name == "doctor" and not rest and settings.wants_gpu:
        rest = ["--devices", settings.devices or "cuda:0"]
    if name in (*_RUNS, "check") and not rest:
        rest = [file for pattern in settings.specs or ("parity.yml",) for file in _files(pattern, settings)]
    return [name, *(settings.options if name in _RUNS else ()), *rest]


def _is_no_command(word: str) -> bool:
    return word.startswith("-") or Path(word).suffix in {".yml", ".yaml"} or "/" in word


def _files(pattern: str, settings: Settings) -> list[str]:
    if not any(mark in pattern for mark in "*?["):
        return [pattern]
    found = sorted(str(path.relative_to(settings.workspace)) for path in settings.workspace.glob(pattern))
    if not found:
        raise SpecError(f"no specification matches {pattern!r}", at="PARITY_SPEC", fix="** crosses folders")
    return found


def complete(environment: Mapping[str, str], workspace: Path) -> dict[str, str]:
    """The environment with what a container started with `--user` has not got: a home, a name, caches.

    PYTHONPATH starts with the workspace, so that the user's own packages are found.
    """
    made, temporary = dict(environment), Path(tempfile.gettempdir())
    home = made.get("HOME", "")
    if home in {"", "/"} or not os.access(home, os.W_OK | os.X_OK):
        made["HOME"] = str(temporary)
    if not made.get("USER") and not _has_name():
        made["USER"] = "parity"  # PyTorch's inductor asks for it, and fails where there is none
    made.setdefault("TORCHINDUCTOR_CACHE_DIR", str(temporary / f"torchinductor-{os.getuid()}"))
    paths = [str(workspace), *filter(None, made.get("PYTHONPATH", "").split(os.pathsep))]
    made["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(paths))
    return made


def _has_name() -> bool:
    try:
        return bool(getpass.getuser())
    except (KeyError, OSError):  # no entry in /etc/passwd; which of them depends on Python's version
        return False


def check_gpu() -> None:
    """Says at once what a run on a GPU would find out after minutes.

    Raises:
        CannotJudge: no GPU can be used, and why.
    """
    found = driver.find()
    if found.problem:
        raise CannotJudge(f"a GPU was asked for, but {found.problem}", fix=found.fix)


class Keeper:
    """Runs commands one after the other, each in a process group of its own, and passes signals on to it."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._caught: list[int] = []
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._pass_on)
        signal.signal(signal.SIGALRM, lambda *_: self._send(signal.SIGKILL))

    def run(self, arguments: list[str], environment: Mapping[str, str], *, aside: bool = False) -> int:
        """The exit status of the command; 128 + number when a signal ended it or this process.

        Args:
            arguments: the command.
            environment: all of it.
            aside: its output is not the result: it goes to standard error.
        """
        if self.ended:
            return self.ended
        output = sys.stderr if aside else None
        self._child = subprocess.Popen(arguments, env=environment, stdout=output, start_new_session=True)
        if self._caught:  # it came while the child was being started
            self._send(signal.SIGTERM)
        status = self._child.wait()
        self._send(signal.SIGKILL)  # whatever it has left behind
        signal.setitimer(signal.ITIMER_REAL, 0)
        return self.ended or (status if status >= 0 else 128 - status)

    @property
    def ended(self) -> int:
        """128 + the number of the signal that this process was ended with; 0 when there was none."""
        return 128 + self._caught[0] if self._caught else 0

    def _pass_on(self, number: int, _frame: FrameType | None) -> None:
        """The first signal asks the child to end; the second one, or the end of its time, kills the group."""
        self._caught.append(number)
        if len(self._caught) > 1:
            self._send(signal.SIGKILL)
        else:
            signal.setitimer(signal.ITIMER_REAL, GRACE_S)
            self._send(signal.SIGTERM)

    def _send(self, number: int) -> None:
        if self._child is not None:
            with suppress(ProcessLookupError, PermissionError):  # it is gone
                os.killpg(self._child.pid, number)


def main(arguments: Sequence[str]) -> int:
    """Starts `parity` and gives its exit status."""
    keeper = Keeper()
    try:
        settings = Settings.read(os.environ)
        if not settings.workspace.is_dir():
            raise SpecError("there is no such folder", at=str(settings.workspace), fix="see PARITY_WORKSPACE")
        os.chdir(settings.workspace)
        asked = command(arguments, settings)
        judges = asked[0] in _RUNS
        if judges and settings.wants_gpu:
            check_gpu()
        python = sys.executable
        if judges and settings.requirements is not None:
            plain = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
            pip = partial(keeper.run, environment=plain, aside=True)
            python = str(requirements.install(settings.requirements, settings.cache, pip))
        # -I keeps the workspace, where a random.py may lie, out of the host; the workers inherit PYTHONPATH.
        own = [python, "-I", "-u", "-m", "parity", *asked]
        return keeper.run(own, complete(os.environ, settings.workspace))
    except ParityError as error:
        print(f"parity: {error}", file=sys.stderr)  # noqa: T201
        return keeper.ended or int(error.exit_code)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
