#!/usr/bin/env python3
"""Container start: arguments and PARITY_* variables become one `parity` command, which this process looks after.

    docker run --rm -v "$PWD:/workspace" IMAGE                        parity run parity.yml
    docker run --rm -v "$PWD:/workspace" IMAGE model/parity.yml       parity run model/parity.yml
    docker run --rm IMAGE doctor                                      parity doctor

docs/container.md has every variable. Standard library alone; exit status as `parity` has it.
"""

from __future__ import annotations

import getpass
import glob
import hashlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

WRONG, UNJUDGED = 2, 3
GRACE_S = 8.0  # for parity to write what it has: GitHub's runner kills a cancelled job after 10 s
_PINNED = ("torch", "onnxruntime", "onnxruntime-gpu")  # the image's: another build would be a second CUDA
_RUNS = ("run", "diagnose")  # the commands that take the gate's options


class Refusal(Exception):
    """Why nothing was started.

    Args:
        status: what the container ends with.
        problem: one sentence without a full stop.
        fix: how to mend it.
    """

    def __init__(self, status: int, problem: str, fix: str = "") -> None:
        super().__init__(f"{problem}\n  fix: {fix}" if fix else problem)
        self.status = status


@dataclass(frozen=True)
class Settings:
    """The PARITY_* variables; an empty one counts as unset.

    Args:
        workspace: working folder; the user's code is imported from there.
        specs: specification files or patterns of such, for a start without arguments.
        options: of the gate, as arguments; arguments of the command line come after them and win.
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
            Refusal: one can't be read.
        """

        def get(name: str) -> str:
            return environment.get(f"PARITY_{name}", "").strip()

        workspace = Path(get("WORKSPACE") or os.getcwd())  # noqa: PTH109
        named = ("DEVICES", "REPORT_DIR", "DIAGNOSE", "CASE")
        options = [
            part for name in named if get(name) for part in (f"--{name.lower().replace('_', '-')}", get(name))
        ]
        try:
            options += shlex.split(get("EXTRA_ARGS"))
        except ValueError as error:
            raise Refusal(WRONG, f"PARITY_EXTRA_ARGS can't be read: {error}", "close every quote") from error
        requirements = get("REQUIREMENTS")
        cache = get("CACHE_DIR") or str(Path(tempfile.gettempdir()) / f"parity-cache-{os.getuid()}")
        return cls(
            workspace=workspace,
            specs=tuple(shlex.split(get("SPEC"))),
            options=tuple(options),
            devices=get("DEVICES"),
            requirements=workspace / requirements if requirements else None,
            cache=workspace / cache,
            wants_gpu=get("GPUS").lower() not in {"", "none", "0"} or "cuda" in get("DEVICES"),
        )


def command(arguments: Sequence[str], settings: Settings) -> list[str]:
    """The arguments of `parity`.

    A specification or an option in the first place means `run`; a start without arguments takes the variables.

    Raises:
        Refusal: a pattern matches no file.
    """
    given = list(arguments) or ["run"]
    if given[0] not in {"-h", "--help", "--version"} and _is_no_command(given[0]):
        given.insert(0, "run")
    name, rest = given[0], given[1:]
    if name == "doctor" and not rest and settings.wants_gpu:
        return [name, "--devices", settings.devices or "cuda:0"]
    if name in _RUNS:
        if not rest:
            rest = [file for pattern in settings.specs or ("parity.yml",) for file in _files(pattern, settings)]
        return [name, *settings.options, *rest]
    return given


def _is_no_command(word: str) -> bool:
    return word.startswith("-") or Path(word).suffix in {".yml", ".yaml"} or "/" in word


def _files(pattern: str, settings: Settings) -> list[str]:
    if not any(mark in pattern for mark in "*?["):
        return [pattern]
    found = sorted(glob.glob(pattern, root_dir=settings.workspace, recursive=True))
    if not found:
        raise Refusal(WRONG, f"no specification matches {pattern!r}", "see PARITY_SPEC; ** crosses folders")
    return found


def complete(environment: Mapping[str, str], workspace: Path) -> dict[str, str]:
    """The environment with what a container started with `--user` has not got: a home, a name, caches.

    PYTHONPATH starts with the workspace, so that the user's own packages are found.
    """
    made = dict(environment)
    temporary = tempfile.gettempdir()
    home = made.get("HOME", "")
    if not (home and os.access(home, os.W_OK | os.X_OK)) or home == "/":
        made["HOME"] = temporary
    if not made.get("USER") and not _has_name():
        made["USER"] = "parity"  # PyTorch's inductor asks for it, and fails where there is none
    made.setdefault("TORCHINDUCTOR_CACHE_DIR", str(Path(temporary) / f"torchinductor-{os.getuid()}"))
    paths = [str(workspace), *filter(None, made.get("PYTHONPATH", "").split(os.pathsep))]
    made["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(paths))
    return made


def _has_name() -> bool:
    try:
        return bool(getpass.getuser())
    except (KeyError, OSError):  # no entry in /etc/passwd; which of them depends on Python's version
        return False


def install(requirements: Path, cache: Path, run: Callable[[list[str]], int]) -> Path:
    """An environment that has the packages of `requirements` beside this one's; gives its interpreter.

    Kept in `cache` under a hash of the file and of this environment, and made aside, so that half of one is
    never taken for it.

    Args:
        requirements: a file as pip reads it.
        cache: a folder that can be written, or made.
        run: runs a command to its end and gives its exit status.

    Raises:
        Refusal: there is no such file (2), the cache can't be written or pip failed (3).
    """
    try:
        text = requirements.read_bytes()
    except OSError as error:
        raise Refusal(WRONG, f"{requirements}: {error.strerror}", "see PARITY_REQUIREMENTS") from error
    pins = [f"{name}=={found}" for name in (*_PINNED, "onnx-parity-action") if (found := _version(name))]
    key = hashlib.sha256(b"\0".join([text, sys.version.encode(), sys.prefix.encode(), *map(str.encode, pins)]))
    place = cache / f"requirements-{key.hexdigest()[:16]}"
    python = place / "bin" / "python"
    if python.exists():
        return python
    try:
        cache.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(dir=cache, prefix=".making-"))
    except OSError as error:
        problem = f"the requirements can't be installed: {cache}: {error.strerror}"
        raise Refusal(UNJUDGED, problem, "set PARITY_CACHE_DIR to a folder that can be written") from error
    try:
        _make_beside(aside, run)
        constraints = aside / "constraints.txt"
        constraints.write_text("\n".join(pins) + "\n", encoding="utf-8")
        parity = [pin for pin in pins if pin.startswith("onnx-parity-action")]  # so that its own needs count
        pip = [*_pip(aside / "bin" / "python"), "install", "--no-cache-dir", "--disable-pip-version-check"]
        if run([*pip, "--requirement", str(requirements), "--constraint", str(constraints), *parity]) != 0:
            raise Refusal(
                UNJUDGED,
                f"pip could not install {requirements}; its reason is above",
                f"the image keeps {', '.join(pins)}: ask for nothing else of these; without a network, "
                "bring PARITY_CACHE_DIR along",
            )
        try:
            aside.rename(place)
        except OSError:  # another run was quicker
            if not python.exists():
                raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return python


def _make_beside(place: Path, run: Callable[[list[str]], int]) -> None:
    """An empty virtual environment at `place` that also sees the packages of this one.

    Its own come first, so what the user asks for wins, and pip installs nothing that is here already.
    """
    base = Path(sys.base_prefix) / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
    if run([str(base), "-m", "venv", "--without-pip", str(place)]) != 0:
        raise Refusal(UNJUDGED, f"{base} -m venv failed; its reason is above", "use a base image with venv")
    library = place / "lib" / base.name / "site-packages"
    here = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    # addsitedir reads the .pth files there too.
    lines = [f"import site; site.addsitedir({path!r})" for path in here]
    (library / "parity-image.pth").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _pip(python: Path) -> list[str]:
    """pip of this environment or of the Python below it, working on the environment of `python`."""
    outer = Path(sys.base_prefix) / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
    for candidate in (sys.executable, str(outer)):
        asked = subprocess.run([candidate, "-m", "pip", "--version"], capture_output=True, check=False)
        if asked.returncode == 0:
            return [candidate, "-m", "pip", "--python", str(python)]
    raise Refusal(UNJUDGED, "the requirements can't be installed: there is no pip", "use a base image with pip")


def _version(package: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def check_gpu() -> None:
    """Says at once what a run on a GPU would find out after minutes.

    Raises:
        Refusal: no GPU can be used, and why.
    """
    done = subprocess.run([sys.executable, "-I", "-m", "parity.driver"], capture_output=True, text=True, check=False)
    found = json.loads(done.stdout) if done.returncode == 0 else {"problem": done.stderr.strip(), "fix": ""}
    if found["problem"]:
        raise Refusal(UNJUDGED, f"a GPU was asked for: {found['problem']}", found["fix"])


class Keeper:
    """Runs commands one after the other, each in a process group of its own, and passes signals on to it."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._signal = 0
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._pass_on)

    def run(self, arguments: list[str], environment: Mapping[str, str] | None = None) -> int:
        """The exit status of the command; 128 + number when a signal ended it or this process."""
        if self._signal:
            return 128 + self._signal
        self._child = subprocess.Popen(arguments, env=environment, start_new_session=True)
        if self._signal:  # it came while the child was being started
            self._send(self._signal)
        status = self._child.wait()
        self._send(signal.SIGKILL)  # whatever it has left behind
        signal.alarm(0)
        if self._signal:
            return 128 + self._signal
        return status if status >= 0 else 128 - status

    def _pass_on(self, number: int, _frame: FrameType | None) -> None:
        """The first signal is passed on; when the time is up, or at the second one, the group is killed."""
        if self._signal:
            self._send(signal.SIGKILL)
            return
        self._signal = number
        self._send(number)
        signal.signal(signal.SIGALRM, lambda *_: self._send(signal.SIGKILL))
        signal.setitimer(signal.ITIMER_REAL, GRACE_S)

    def _send(self, number: int) -> None:
        if self._child is not None:
            try:
                os.killpg(self._child.pid, number)
            except (ProcessLookupError, PermissionError):  # it is gone
                pass


def main(arguments: Sequence[str]) -> int:
    """Starts `parity` and gives its exit status."""
    keeper = Keeper()
    try:
        settings = Settings.read(os.environ)
        if not settings.workspace.is_dir():
            raise Refusal(WRONG, f"there is no folder {settings.workspace}", "see PARITY_WORKSPACE")
        os.chdir(settings.workspace)
        environment = complete(os.environ, settings.workspace)
        asked = command(arguments, settings)
        judges = asked[0] in _RUNS
        if judges and settings.wants_gpu:
            check_gpu()
        python = sys.executable
        if settings.requirements is not None and judges:
            # pip's output is not ours: it belongs with the messages.
            python = str(install(settings.requirements, settings.cache, lambda a: keeper.run(a, environment)))
        return keeper.run([python, "-m", "parity", *asked], environment)
    except Refusal as refusal:
        print(f"parity: {refusal}", file=sys.stderr)  # noqa: T201
        return refusal.status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
