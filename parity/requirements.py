"""The user's own requirements, beside the packages that parity itself came with; standard library alone."""

from __future__ import annotations

import fcntl
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from parity.errors import CannotJudge, SpecError

_TOOL = "onnx-parity-action"
# What the environment has and keeps: another build of PyTorch would bring a second CUDA. The tool is named so
# that pip counts its needs as well.
_PINNED = ("torch", "onnxruntime", "onnxruntime-gpu", _TOOL)
_INCLUDES = re.compile(r"^\s*(?:-r|-c|--requirement|--constraint)[\s=]*(\S+)", re.MULTILINE)
# A path, an editable install, a folder with wheels: pip reads more than the requirements files themselves.
_LOCAL = re.compile(r"^\s*(?:[./~]|-e|-f|--editable|--find-links|file:)|@\s*file:", re.MULTILINE)


def install(requirements: Path, cache: Path, run: Callable[[list[str]], int]) -> Path:
    """An environment that has the packages of `requirements` beside this one's; gives its interpreter.

    Kept in `cache` under a hash of what it is made from. Where the requirements name local files it is made
    anew, outside of the cache: what is in those may have changed.

    Args:
        requirements: a file as pip reads it.
        cache: a folder that can be written, or made.
        run: runs a command to its end and gives its exit status.

    Raises:
        SpecError: there is no such file.
        CannotJudge: the cache can't be written, or pip failed.
    """
    texts, pins = _read_all(requirements), _pins()
    if any(_LOCAL.search(text) for text in texts):
        return _make(Path(tempfile.mkdtemp(prefix="parity-requirements-")), requirements, pins, run)
    made_from = json.dumps([texts, pins, sys.version, sys.prefix]).encode()
    place = cache / f"requirements-{hashlib.sha256(made_from).hexdigest()[:16]}"
    complete = place / "complete"
    with _only_one(cache):
        if not complete.exists():
            shutil.rmtree(place, ignore_errors=True)  # half of one, left by a run that was killed
            _make(place, requirements, pins, run)
            complete.touch()
    return _python(place)


def _make(place: Path, requirements: Path, pins: list[str], run: Callable[[list[str]], int]) -> Path:
    """The environment itself. What the user asks for comes first; pip leaves alone what is here already."""
    base = _python(Path(sys.base_prefix))
    if run([str(base), "-m", "venv", "--without-pip", str(place)]) != 0:
        raise CannotJudge(f"{base} -m venv failed; its reason is above", fix="use a base image with venv")
    here = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    lines = [f"import site; site.addsitedir({path!r})" for path in here]  # it reads the .pth files there too
    (place / "lib" / base.name / "site-packages" / "parity.pth").write_text(
        "\n".join(lines), encoding="utf-8"
    )
    constraints = place / "constraints.txt"
    constraints.write_text("\n".join(pins), encoding="utf-8")
    tool = [pin for pin in pins if pin.startswith(_TOOL)]
    pip = [
        *_pip(),
        "--python",
        str(_python(place)),
        "install",
        "--no-cache-dir",
        "--disable-pip-version-check",
    ]
    if run([*pip, "--requirement", str(requirements), "--constraint", str(constraints), *tool]) != 0:
        raise CannotJudge(
            "pip could not install the requirements; its reason is above",
            at=str(requirements),
            fix=f"{', '.join(pins)} stay as they are: ask for no other version of these, nor for what "
            "contradicts them; without a network, bring a filled PARITY_CACHE_DIR along",
        )
    return _python(place)


def _read_all(requirements: Path) -> list[str]:
    """The text of a requirements file and of those that it includes."""
    texts: list[str] = []
    due, seen = [requirements], set[Path]()
    while due:
        file = due.pop()
        if file in seen:
            continue
        seen.add(file)
        try:
            texts.append(file.read_text(encoding="utf-8"))
        except OSError as error:
            raise SpecError(f"the requirements can't be read: {error.strerror}", at=str(file)) from error
        except UnicodeDecodeError as error:
            raise SpecError("the requirements can't be read: they are not UTF-8", at=str(file)) from error
        due += [file.parent / name for name in _INCLUDES.findall(texts[-1])]
    return texts


@contextmanager
def _only_one(cache: Path) -> Iterator[None]:
    """Two runs with one cache do not install at once."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
        lock = (cache / ".lock").open("w", encoding="utf-8")
    except OSError as error:
        raise CannotJudge(
            f"the requirements can't be installed there: {error.strerror}",
            at=str(cache),
            fix="set PARITY_CACHE_DIR to a folder that can be written",
        ) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _pip() -> list[str]:
    """The pip of this environment, or else of the Python that it was made with."""
    for python in (sys.executable, str(_python(Path(sys.base_prefix)))):
        pip = [python, "-m", "pip"]
        if subprocess.run([*pip, "--version"], capture_output=True, check=False).returncode == 0:
            return pip
    raise CannotJudge(
        "the requirements can't be installed: there is no pip", fix="use a base image that has it"
    )


def _python(prefix: Path) -> Path:
    """The interpreter of the environment at `prefix`, by the name that has the version in it."""
    return prefix / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}"


def _pins() -> list[str]:
    pins = []
    for package in _PINNED:
        try:
            pins.append(f"{package}=={version(package)}")
        except PackageNotFoundError:
            continue
    return pins
